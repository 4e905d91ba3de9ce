"""The epochs of a run, as calls of Keras: from wherever it stands to its end."""

from __future__ import annotations

import keras

from trainer.training.callbacks import StopOnNan
from trainer.training.intake import Intake
from trainer.training.pace import PaceLine, WaitMeter
from trainer.training.recorder import Recorder


def run_epochs(
    core: keras.Model,
    train: Intake,
    validate: Intake | None,
    recorder: Recorder,
    meter: WaitMeter,
    line: PaceLine,
) -> None:
    """Train until the recorder says that it is done.

    Keras wants as many batches in every epoch of a `fit`. So one that was left within an epoch
    takes two calls, the first of them for the rest of that epoch, and one that was left in
    validation begins with an `evaluate`. TensorFlow traces the steps once for all of them.

    Args:
        core: the model, compiled.
        train: its batches.
        validate: those of the other side, if there is one.
        recorder: where the run stands, and what keeps that.
        meter: measures how long training waits.
        line: shows how far it is.
    """
    callbacks = [StopOnNan(train), meter, recorder, line]
    while not recorder.is_done:
        epoch, batch = recorder.progress.position
        until = recorder.progress.until
        train.start = batch
        recorder.begin_call(train, validate)
        if len(train):
            core.fit(
                train,
                validation_data=validate,
                initial_epoch=epoch,
                epochs=epoch + 1 if batch else until,
                shuffle=False,  # the sequence does it
                callbacks=callbacks,
                verbose=0,  # the line says it
            )
        else:
            line.on_epoch_begin(epoch)
            called = keras.callbacks.CallbackList(callbacks, model=core)
            found = core.evaluate(validate, callbacks=called, verbose=0, return_dict=True)
            validation = {f"val_{name}": value for name, value in found.items()}
            called.on_epoch_end(epoch, recorder.progress.metrics | validation)
