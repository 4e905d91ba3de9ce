"""The epochs of a run, as calls of Keras: from wherever it stands to its end."""

from __future__ import annotations

import sys
from collections.abc import Callable

import keras

from trainer.callbacks import EpochLines, StopOnNan
from trainer.intake import Intake
from trainer.recorder import Recorder
from trainer.sequence import CSVSequence


def run_epochs(
    core: keras.Model,
    train: CSVSequence,
    validate: CSVSequence | None,
    recorder: Recorder,
    *,
    records: int,
    say: Callable[[str], None],
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
        records: number of training records in an epoch.
        say: takes lines of prose.
    """
    at_terminal = sys.stdout.isatty()
    held_out = Intake(validate) if validate else None
    while not recorder.is_done:
        epoch, batch = recorder.progress.position
        until = recorder.progress.until
        rest = Intake(train, batch)
        recorder.watch(rest, held_out)
        callbacks = [StopOnNan(rest), recorder]
        if not at_terminal:
            left = records * len(rest) // len(train)
            callbacks.append(EpochLines(say, epochs=until, records=left))
        if len(rest):
            core.fit(
                rest,
                validation_data=held_out,
                initial_epoch=epoch,
                epochs=epoch + 1 if batch else until,
                shuffle=False,  # the sequence does it
                callbacks=callbacks,
                verbose=1 if at_terminal else 0,
            )
        else:
            called = keras.callbacks.CallbackList(callbacks, model=core)
            found = core.evaluate(held_out, callbacks=called, verbose=0, return_dict=True)
            validation = {f"val_{name}": value for name, value in found.items()}
            called.on_epoch_end(epoch, recorder.progress.metrics | validation)
