"""What is watched and said while Keras trains; what is kept is in `trainer.training.recorder`."""

from __future__ import annotations

import math
from collections.abc import Mapping

import keras

from shared.errors import ModelError
from trainer.training.intake import Intake

Logs = Mapping[str, float] | None


class StopOnNan(keras.callbacks.Callback):  # type: ignore[misc]
    """Ends training with an error at the first batch whose loss is no number.

    Of steps that are made in one call only the last loss is known, so the error names them all.
    """

    def __init__(self, train: Intake) -> None:
        """Prepare; `train` gives Keras the batches."""
        super().__init__()
        self._train = train
        self._epoch = 0
        self._first = 0

    def on_epoch_begin(self, epoch: int, logs: Logs = None) -> None:  # noqa: ARG002
        """Keep the number of the epoch for the message."""
        self._epoch = epoch

    def on_train_batch_begin(self, batch: int, logs: Logs = None) -> None:  # noqa: ARG002
        """Keep the number of the first batch for the message."""
        self._first = self._train.start + batch

    def on_train_batch_end(self, batch: int, logs: Logs = None) -> None:
        """Look at the loss."""
        # The mean over the epoch so far: it stays NaN from the first NaN on.
        loss = float((logs or {}).get("loss", 0.0))
        if math.isfinite(loss):
            return
        count = self._train.done_after(batch) - self._first
        shards = self._train.sequence.shard_of(self._first, count)
        number = f"batch {self._first + 1}"
        hint = "lower --learning-rate, or look for extreme values in these records"
        if count > 1:
            number = f"one of batches {self._first + 1} to {self._first + count}"
            hint += "; with --steps-per-execution 1, the same command finds out which batch it is"
        raise ModelError(
            f"epoch {self._epoch + 1}, {number} ({shards})",
            expected="a finite loss",
            found=str(loss),
            hint=hint,
        )
