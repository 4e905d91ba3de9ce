"""Keeps the place of a run: counts its steps, saves its state, logs it, and ends it."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping, Sequence
from itertools import zip_longest

import keras
import msgspec
import numpy as np

# Random numbers without a seed of their own come from here; Keras has no public name for it.
from keras.src.random.seed_generator import global_seed_generator

from shared.errors import ContractError
from trainer.interrupt import Interrupts
from trainer.shards.dataset import say_on_stderr
from trainer.training.checkpoint import (
    Array,
    Checkpoint,
    Checkpoints,
    Form,
    Stored,
    Variable,
    form_of,
)
from trainer.training.intake import Intake
from trainer.training.journal import Journal
from trainer.training.monitor import Monitor
from trainer.training.origin import Origin
from trainer.training.progress import Row
from trainer.training.start import Start

Logs = Mapping[str, float] | None


class Recorder(keras.callbacks.Callback):  # type: ignore[misc]
    """The callback that holds the state of a run beside its variables.

    Keras's own callbacks for the best weights, patience and logs keep what they know to
    themselves; here all of it is `progress`, which a checkpoint holds.

    Attributes:
        progress: how far the run has come.
        saved: how far it had when it was saved, or began: there the same command goes on.
        best: the weights of the best epoch; none before there is one.
    """

    def __init__(
        self,
        origin: Origin,
        start: Start,
        *,
        checkpoints: Checkpoints,
        journal: Journal,
        interrupts: Interrupts,
        monitor: Monitor,
        patience: int,
        every: int,
        peak_memory_bytes: Callable[[], int],
    ) -> None:
        """Prepare.

        Args:
            origin: what the run is made from.
            start: where it begins.
            checkpoints: where its state goes.
            journal: where its history goes.
            interrupts: what may end it between two steps.
            monitor: tells the best epoch.
            patience: epochs without a better one until training stops.
            every: steps between two checkpoints.
            peak_memory_bytes: tells how much memory it took so far.
        """
        super().__init__()
        self.progress = start.progress
        self.best: Sequence[Array] = ()
        # What it begins with is in a checkpoint, or is what the same command begins with again.
        self.saved = start.progress
        self._origin = origin
        self._checkpoints = checkpoints
        self._is_new = start.is_new
        self._journal = journal
        self._interrupts = interrupts
        self._monitor = monitor
        self._patience = patience
        self._every = every
        self._peak_memory_bytes = peak_memory_bytes
        self._since_s = time.monotonic()

    def begin_call(self, train: Intake, validate: Intake | None) -> None:
        """Prepare for the next call of Keras, and wait for the batches of these in it."""
        self._train = train
        self._validate = validate
        # A new run takes one call. Else every call begins with the state as it was saved: where the
        # optimiser keeps moving averages, `fit` puts them in place of the weights at its end.
        self._is_restored = self._is_new
        self._has_validated = False

    @property
    def is_done(self) -> bool:
        """Whether training is over."""
        return self.progress.is_done(self._patience)

    def on_epoch_begin(self, epoch: int, logs: Logs = None) -> None:  # noqa: ARG002
        """Begin an epoch, the first one where it was left."""
        # Here, not when training begins: Keras has just reset the metrics.
        self._restore()
        self._train.begin_epoch(epoch)

    def on_train_batch_begin(self, batch: int, logs: Logs = None) -> None:  # noqa: ARG002
        """Wait for the batches of an execution, then begin it."""
        self._train.await_batches(batch, self.model.steps_per_execution)
        self._interrupts.hold()

    def on_train_batch_end(self, batch: int, logs: Logs = None) -> None:
        """Count the steps, save the state every so many, and end here if a signal came."""
        before = self.progress.batch
        done = self._train.done_after(batch)
        self.progress = msgspec.structs.replace(self.progress, batch=done, metrics=dict(logs or {}))
        if done == len(self._train.sequence):
            if self._validate is not None and not self._has_validated:
                # Keras is about to look at the first two batches, for their shapes: wait for them
                # here, where a signal can end the wait.
                self._interrupts.release()
                self._validate.await_batches(0, 2)
            # The last step of an epoch ends with what Keras does next.
            self._interrupts.hold()
            return
        if done // self._every > before // self._every:
            self.save()
        self._interrupts.release()

    def on_test_begin(self, logs: Logs = None) -> None:  # noqa: ARG002
        """Save the state before validation, which uses the same metrics."""
        self._has_validated = True
        self._restore()
        self.save()
        self._interrupts.release()

    def on_test_batch_begin(self, batch: int, logs: Logs = None) -> None:  # noqa: ARG002
        """Wait for the batches of an execution, then begin it."""
        self._interrupts.check()
        if self._validate is not None:
            self._validate.await_batches(batch, self.model.steps_per_execution)
        self._interrupts.hold()

    def on_test_batch_end(self, batch: int, logs: Logs = None) -> None:  # noqa: ARG002
        """End here if a signal came."""
        self._interrupts.release()

    def on_epoch_end(self, epoch: int, logs: Logs = None) -> None:  # noqa: ARG002
        """Complete an epoch: keep its weights if they are the best, log it, save the state."""
        self._interrupts.hold()
        # Those of the training side as its last step gave them, also where a run went on with the
        # validation: what Keras says here is another sum of the same, with other roundings.
        validation = {k: v for k, v in (logs or {}).items() if k not in self.progress.metrics}
        _synchronise(self.model)
        rate = float(keras.ops.convert_to_numpy(self.model.optimizer.learning_rate))
        metrics = self.progress.metrics | validation
        row = Row(metrics, rate, time.time(), self._monitor.score(metrics))
        self.progress = self.progress.complete(row)
        if self.progress.best == self.progress.epoch - 1:
            self.best = [np.array(keras.ops.convert_to_numpy(v)) for v in self.model.weights]
        self._journal.add(self.progress.rows[-1])
        self.save()
        self.model.stop_training = self.is_done
        self._interrupts.release()

    def save(self) -> None:
        """Write a checkpoint, if there is not yet one of this position.

        Raises:
            TargetError: it cannot be written.
        """
        if self.saved.position == self.progress.position:
            return
        now_s = time.monotonic()
        self.progress = msgspec.structs.replace(
            self.progress,
            seconds=self.progress.seconds + now_s - self._since_s,
            peak_memory_bytes=max(self.progress.peak_memory_bytes, self._peak_memory_bytes()),
        )
        self._since_s = now_s
        self._checkpoints.save(self._origin, self.progress, _variables(self.model), self.best)
        self.saved = self.progress

    def _restore(self) -> None:
        """Put the state of the last checkpoint into the model, once in each call of Keras."""
        if self._is_restored:
            return
        self._is_restored = True
        found = self._checkpoints.load(say_on_stderr)
        for variable, array in _restored(_variables(self.model), found.variables, found):
            variable.assign(array)
        if not self.progress.batch:
            self.model.reset_metrics()  # what was saved here is the end of an epoch
        # Copied, since an array would keep all of the file in memory.
        self.best = [array.copy() for _, array in restore_best(self.model, found)]


def restore_best(core: keras.Model, checkpoint: Checkpoint) -> list[tuple[Variable, Array]]:
    """Return the weights of a core model, each with its value in the best epoch, if there is one.

    Raises:
        ContractError: they are those of another model.
    """
    return _restored(core.weights, checkpoint.best, checkpoint) if checkpoint.best else []


def _variables(core: keras.Model) -> list[Variable]:
    """Return all that a step changes, in an order that a model of the same code has, too."""
    _synchronise(core)
    return [
        *core.variables,
        *core.optimizer.variables,
        *core.metrics_variables,
        global_seed_generator().state,
    ]


def _synchronise(core: keras.Model) -> None:
    """Let the variables have the values that they have: JAX keeps these elsewhere in an epoch."""
    if hasattr(core, "jax_state_sync"):
        core.jax_state_sync()


def _restored(
    variables: Sequence[Variable], stored: Sequence[Stored], checkpoint: Checkpoint
) -> list[tuple[Variable, Array]]:
    for variable, array in zip_longest(variables, stored):
        wanted = None if variable is None else form_of(variable)
        found = None if array is None else array.form
        if wanted != found:
            raise ContractError(
                checkpoint.path,
                expected=f"the variables of this model, {_spell(wanted)}",
                found=_spell(found),
                hint="the code of --model, or shardfit, has changed: undo that, or remove "
                f"{checkpoint.path.parent} to begin anew",
            )
    return [
        (variable, np.frombuffer(array.data, variable.dtype).reshape(array.form.shape))
        for variable, array in zip(variables, stored, strict=True)
    ]


def _spell(form: Form | None) -> str:
    return "no further one" if form is None else f"{form.dtype} of shape {form.shape}"
