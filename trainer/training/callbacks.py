"""What is watched and said while Keras trains; what is kept is in `trainer.training.recorder`."""

from __future__ import annotations

import math
from collections.abc import Mapping

import keras

from shared.errors import ModelError
from trainer.training.intake import Intake

Logs = Mapping[str, float] | None


class StopOnNan(keras.callbacks.Callback):  # type: ignore[misc]
    """Ends training with an error at the first batch whose loss is no number."""

    def __init__(self, train: Intake) -> None:
        """Prepare; `train` gives the batches."""
        super().__init__()
        self._train = train
        self._epoch = 0

    def on_epoch_begin(self, epoch: int, logs: Logs = None) -> None:  # noqa: ARG002
        """Keep the number of the epoch for the message."""
        self._epoch = epoch

    def on_train_batch_end(self, batch: int, logs: Logs = None) -> None:
        """Look at the loss."""
        # The mean over the epoch so far: it stays NaN from the first NaN on.
        loss = float((logs or {}).get("loss", 0.0))
        if not math.isfinite(loss):
            number, shard = self._train.start + batch + 1, self._train.shard_of(batch)
            raise ModelError(
                f"epoch {self._epoch + 1}, batch {number} ({shard})",
                expected="a finite loss",
                found=str(loss),
                hint="lower --learning-rate, or look for extreme values in this shard",
            )
