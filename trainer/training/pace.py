"""What a person sees of a training: how far it is, how fast, and whether it waits for data."""

from __future__ import annotations

import math
import os
import shutil
import sys
import time
from collections.abc import Callable, Mapping

import keras
import numpy as np

from trainer.training.intake import Intake

Logs = Mapping[str, float] | None

# How often the line at a terminal changes.
_REFRESH_S = 0.2
# Less than this share of waiting is not worth a word.
_WORTH_A_WORD = 0.05


class WaitMeter(keras.callbacks.Callback):  # type: ignore[misc]
    """Measures how long training waits for data, which is not how long reading takes.

    A step waits from the end of the step before it until the sequence has handed its batch over;
    what was handed over before was read meanwhile. Time in which the backend has not yet asked for
    the batch, such as that of tracing in the first epoch, is its own. Steps that are made in one
    call wait for all their batches before the first of them.

    Attributes:
        train: gives Keras the batches.
        seconds: of the training side of all epochs.
        waited_s: how much of it was waiting.
        shards_waited_s: and how much of that while shards were read.
    """

    def __init__(self, train: Intake) -> None:
        """Prepare."""
        super().__init__()
        self.train = train
        self.seconds = self.waited_s = self.shards_waited_s = 0.0
        self._since_s = 0.0
        self._done = 0

    @property
    def fraction(self) -> float:
        """The share of waiting so far."""
        return self.waited_s / self.seconds if self.seconds else 0.0

    def on_epoch_begin(self, epoch: int, logs: Logs = None) -> None:  # noqa: ARG002
        """Start the clock."""
        self._since_s = time.monotonic()
        self._done = self.train.start

    def on_train_batch_end(self, batch: int, logs: Logs = None) -> None:  # noqa: ARG002
        """Add what this step waited, or these steps."""
        now_s = time.monotonic()
        sequence = self.train.sequence
        numbers = slice(self._done, self.train.done_after(batch))
        self._done = numbers.stop
        from_s = np.maximum(sequence.asked_s[numbers], self._since_s)
        waited_s = float(np.maximum(sequence.handed_s[numbers] - from_s, 0.0).sum())
        self.seconds += now_s - self._since_s
        self.waited_s += waited_s
        if not sequence.is_cached:
            self.shards_waited_s += waited_s
        self._since_s = now_s


class PaceLine(keras.callbacks.Callback):  # type: ignore[misc]
    """Says one line an epoch; at a terminal, the line also shows how far the epoch is."""

    def __init__(self, say: Callable[[str], None], meter: WaitMeter, *, epochs: int) -> None:
        """Prepare; `meter` must come before this in the list of callbacks."""
        super().__init__()
        self._say = say
        self._meter = meter
        self._train = meter.train
        self._epochs = epochs
        self._at_terminal = sys.stderr.isatty()
        self._shown_s = 0.0

    def on_epoch_begin(self, epoch: int, logs: Logs = None) -> None:  # noqa: ARG002
        """Note where the clocks are."""
        self._epoch = epoch
        self._start_s = time.monotonic()
        self._seconds, self._waited_s = self._meter.seconds, self._meter.waited_s

    def on_train_batch_end(self, batch: int, logs: Logs = None) -> None:
        """Show how far it is, now and then."""
        if self._at_terminal and (now_s := time.monotonic()) - self._shown_s > _REFRESH_S:
            self._shown_s = now_s
            done = self._records_before(self._train.done_after(batch))
            share = done / self._train.sequence.records
            line = f"{share:4.0%}  {self._speed(done)}  {self._line(logs)}"
            # One that is wider than the terminal could not be taken back.
            width = shutil.get_terminal_size().columns - 1
            sys.stderr.write(f"{line[:width]}\x1b[K\r")
            sys.stderr.flush()

    def on_epoch_end(self, epoch: int, logs: Logs = None) -> None:  # noqa: ARG002
        """Say the line."""
        self.clear()
        seconds = time.monotonic() - self._start_s
        self._say(
            f"{self._line(logs)}  {seconds:.1f} s  {self._speed(self._train.sequence.records)}"
        )

    def clear(self) -> None:
        """Take the line at the terminal back."""
        if self._at_terminal:
            sys.stderr.write("\x1b[K")
            sys.stderr.flush()

    def _line(self, logs: Logs) -> str:
        metrics = "  ".join(
            f"{name} {value:.4g}" for name, value in (logs or {}).items() if name != "learning_rate"
        )
        return f"epoch {self._epoch + 1}/{self._epochs}  {metrics}"

    def _records_before(self, batch: int) -> int:
        sequence = self._train.sequence
        return min(batch * sequence.batch_size, sequence.records)  # the last one may have fewer

    def _speed(self, done: int) -> str:
        if not (records := done - self._records_before(self._train.start)):
            return "validation only"
        seconds = max(self._meter.seconds - self._seconds, 1e-9)
        waited = (self._meter.waited_s - self._waited_s) / seconds
        return f"{records / seconds:,.0f} records/s  {waited:.0%} waiting"


def advise(meter: WaitMeter, *, workers: int, cache: str) -> str:
    """Return what to change so that a training like this waits less; empty if it hardly waits.

    Args:
        meter: of the training.
        workers: processes that read shards.
        cache: the option of that name.
    """
    if meter.fraction < _WORTH_A_WORD:
        return ""
    if meter.shards_waited_s < meter.waited_s / 2:
        return "the disk of the cache is slower than the model: --cache on a faster one"
    if cache == "off":
        return "--cache auto"
    # So many that they would have read in the time that the model took. More than there are cores
    # would take the model's.
    cores = os.cpu_count() or 1
    wanted = min(cores, math.ceil(max(workers, 1) / max(1 - meter.fraction, 1 / cores)))
    more = f"--workers {workers} -> {wanted}" if wanted > workers else ""
    if more:
        return more
    if meter.train.sequence.is_cached:
        return "only the epoch that makes the cache waits: later ones, and later runs, do not"
    if meter.train.sequence.is_cache_refused:
        return "a cache would help, but none could be made, as was said above"
    return "a cache would help, and the next epoch that reads every shard makes one"
