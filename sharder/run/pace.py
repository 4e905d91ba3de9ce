"""How often a run writes a checkpoint: as often as asked, or every two seconds."""

from __future__ import annotations

import contextlib
import time
from collections.abc import Iterator

# What a kill may cost, about. A checkpoint takes 30 ms, in which the workers run dry.
_EVERY_S = 2.0
# But it tells of all shards, and those of 10 TB are 100 MB: they take one second in 20.
_TIMES_AS_LONG = 20
# A round that ends a bit too early is not followed by one of the few blocks that are lacking.
_NEARLY = 0.8

# Of the first round: how long a block takes is not known yet.
_FIRST_BLOCKS = 16


class Pace:
    """Says how many blocks come before the next checkpoint.

    They are read in rounds, of one graph each, and a checkpoint is written between two rounds.
    """

    def __init__(self, asked: int = 0) -> None:
        """Begin; the clock runs from now on.

        Args:
            asked: number of blocks between two checkpoints; 0 for as many as take two seconds.
        """
        self._asked = asked
        self._blocks, self._per_second = 0, 0.0
        self._every, self._saved_at = _EVERY_S, time.monotonic()

    def next_round(self, most: int) -> int:
        """Return the number of blocks of the next round.

        Args:
            most: number of blocks between two checkpoints at most.
        """
        if self.is_due(most):
            blocks, left = 0, self._every
        else:
            blocks, left = self._blocks, self._every - self._elapsed
        size = self._asked or _FIRST_BLOCKS
        if not self._asked and self._per_second:
            size = int(self._per_second * left)
        return max(1, min(size, most - blocks))

    def add(self, blocks: int) -> None:
        """Note that so many blocks more are done."""
        self._blocks += blocks
        self._per_second = self._blocks / self._elapsed

    def is_due(self, most: int) -> bool:
        """Tell whether a checkpoint is to be written now; `most` is as for `next_round`."""
        if not self._blocks:
            return False
        is_time = self._asked > 0 or self._elapsed >= _NEARLY * self._every
        return is_time or self._blocks >= most

    @contextlib.contextmanager
    def checkpoint(self) -> Iterator[None]:
        """Take the time while one is written."""
        began = time.monotonic()
        yield
        self._blocks, self._saved_at = 0, time.monotonic()
        self._every = max(_EVERY_S, _TIMES_AS_LONG * (self._saved_at - began))

    @property
    def _elapsed(self) -> float:
        return time.monotonic() - self._saved_at
