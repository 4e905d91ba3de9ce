"""How far a run has come: all that it decides on the way, and all that it logs, follows from it."""

from __future__ import annotations

import math

import msgspec


class Row(msgspec.Struct, frozen=True):
    """What an epoch gave.

    Attributes:
        metrics: as Keras gives them; `val_` marks the validation side.
        learning_rate: at its end.
        ended_s: when that was, in seconds since 1970.
        score: how good it is, the least the best; infinite if that is no number.
    """

    metrics: dict[str, float]
    learning_rate: float
    ended_s: float
    score: float


class Progress(msgspec.Struct, frozen=True, kw_only=True):
    """A position in a run, and what led to it.

    Attributes:
        since: epoch with which training began, or began again with `--more-epochs`; from 0.
        until: epoch before which it ends, at the latest.
        batch: how many batches of the present epoch were trained.
        metrics: over these batches.
        rows: of the epochs that are complete.
        seconds: of training so far, validation included.
        peak_memory_bytes: of the trainer and its workers together, at most.
    """

    since: int = 0
    until: int
    batch: int = 0
    metrics: dict[str, float] = {}
    rows: tuple[Row, ...] = ()
    seconds: float = 0.0
    peak_memory_bytes: int = 0

    @property
    def epoch(self) -> int:
        """The present epoch, from 0."""
        return len(self.rows)

    @property
    def position(self) -> tuple[int, int]:
        """The present epoch and batch: what is done lies before them."""
        return self.epoch, self.batch

    @property
    def best(self) -> int | None:
        """The epoch of the least score, the first such one, from 0; None while there is none."""
        finite = [epoch for epoch, row in enumerate(self.rows) if math.isfinite(row.score)]
        return min(finite, key=lambda epoch: self.rows[epoch].score, default=None)

    @property
    def is_sound(self) -> bool:
        """Whether a run can have come here; what is read from a file may be anybody's."""
        return (
            0 <= self.since <= self.epoch <= self.until
            and self.batch >= 0
            and all("loss" in row.metrics for row in self.rows)
        )

    def is_done(self, patience: int) -> bool:
        """Whether training is over: at its last epoch, or after `patience` without a better one.

        Patience begins anew with `--more-epochs`, since the learning rate does.
        """
        best = -1 if self.best is None else self.best
        return self.epoch >= self.until or self.epoch - max(best + 1, self.since) >= patience

    def complete(self, row: Row) -> Progress:
        """Return the position after the present epoch."""
        return msgspec.structs.replace(self, batch=0, metrics={}, rows=(*self.rows, row))

    def extend(self, epochs: int) -> Progress:
        """Return the same position as the beginning of some more epochs."""
        return msgspec.structs.replace(self, since=self.epoch, until=self.epoch + epochs)

    def spell(self, batches: int) -> str:
        """Return the position as people say it; `batches` is the number of them in an epoch."""
        if self.batch == batches:
            return f"epoch {self.epoch + 1}, validation"
        return f"epoch {self.epoch + 1}, batch {self.batch + 1:,} of {batches:,}"
