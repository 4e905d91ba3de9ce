"""What happens in between: logs, the best weights, the end of a training that leads nowhere."""

from __future__ import annotations

import math
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
