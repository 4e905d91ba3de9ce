"""What happens in between: logs, the best weights, the end of a training that leads nowhere."""

from __future__ import annotations

import math
import time
from collections.abc import Callable, Mapping
from pathlib import Path

import keras

from shared.errors import ModelError
from trainer.rundir import BEST_NAME, HISTORY_NAME, TENSORBOARD_NAME

Logs = Mapping[str, float] | None


def make_callbacks(
    out: Path,
    *,
    monitor: str,
    patience: int,
    shard_of: Callable[[int], str],
) -> list[keras.callbacks.Callback]:
    """Return the callbacks of a run.

    Args:
        out: directory of the run.
        monitor: the metric, lower is better, that tells the best epoch.
        patience: epochs without a better one until training stops.
        shard_of: gives the shards of a batch of the present epoch, for messages.
    """
    return [
        StopOnNan(shard_of),
        keras.callbacks.CSVLogger(out / HISTORY_NAME),
        keras.callbacks.TensorBoard(out / TENSORBOARD_NAME, write_graph=False),
        keras.callbacks.ModelCheckpoint(
            out / BEST_NAME,
            monitor=monitor,
            mode="min",
            save_best_only=True,
            save_weights_only=True,
        ),
        keras.callbacks.EarlyStopping(monitor=monitor, mode="min", patience=patience),
    ]


class StopOnNan(keras.callbacks.Callback):  # type: ignore[misc]
    """Ends training with an error at the first batch whose loss is no number."""

    def __init__(self, shard_of: Callable[[int], str]) -> None:
        """Prepare; `shard_of` gives the shards of a batch of the present epoch."""
        super().__init__()
        self._shard_of = shard_of
        self._epoch = 0

    def on_epoch_begin(self, epoch: int, logs: Logs = None) -> None:  # noqa: ARG002
        """Keep the number of the epoch for the message."""
        self._epoch = epoch

    def on_train_batch_end(self, batch: int, logs: Logs = None) -> None:
        """Look at the loss."""
        # The mean over the epoch so far: it stays NaN from the first NaN on.
        loss = float((logs or {}).get("loss", 0.0))
        if not math.isfinite(loss):
            raise ModelError(
                f"epoch {self._epoch + 1}, batch {batch + 1} ({self._shard_of(batch)})",
                expected="a finite loss",
                found=str(loss),
                hint="lower --learning-rate, or look for extreme values in this shard",
            )


class EpochLines(keras.callbacks.Callback):  # type: ignore[misc]
    """Says one line an epoch, where there is no terminal for a progress bar."""

    def __init__(self, say: Callable[[str], None], *, epochs: int, records: int) -> None:
        """Prepare; `records` is the number of training records an epoch."""
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
