"""What is watched and said while Keras trains; what is kept is in `trainer.recorder`."""

from __future__ import annotations

import math
import time
from collections.abc import Callable, Mapping

import keras

from shared.errors import ModelError
from trainer.intake import Intake

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


class EpochLines(keras.callbacks.Callback):  # type: ignore[misc]
    """Says one line an epoch, where there is no terminal for a progress bar."""

    def __init__(self, say: Callable[[str], None], *, epochs: int, records: int) -> None:
        """Prepare; `records` is the number of training records in an epoch, or what is left."""
        super().__init__()
        self._say = say
        self._epochs = epochs
        self._records = records
        self._start_s = 0.0
        self._trained_s: float | None = None

    def on_epoch_begin(self, epoch: int, logs: Logs = None) -> None:  # noqa: ARG002
        """Start the clock."""
        self._start_s = time.monotonic()
        self._trained_s = None

    def on_test_begin(self, logs: Logs = None) -> None:  # noqa: ARG002
        """Stop the clock of the training side: validation has begun."""
        self._trained_s = time.monotonic() - self._start_s

    def on_epoch_end(self, epoch: int, logs: Logs = None) -> None:
        """Say the line."""
        seconds = time.monotonic() - self._start_s
        rate = self._records / max(self._trained_s or seconds, 1e-9)
        metrics = "  ".join(
            f"{name} {value:.4g}" for name, value in (logs or {}).items() if name != "learning_rate"
        )
        self._say(
            f"epoch {epoch + 1}/{self._epochs}  {metrics}  {seconds:.1f} s  {rate:,.0f} records/s"
        )
