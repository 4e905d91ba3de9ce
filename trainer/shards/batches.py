"""Which records make up which batch: a pure function of the seed, the epoch and the batch.

An epoch is a sequence of all records of a side. Its shards are put in a random order, each run of
`window` shards in that order is a *window*, and the records of a window are mixed. Batches are cut
from this sequence. Whoever serves it, from shards or from a cache, serves the same batches.
"""

from __future__ import annotations

from typing import Any, NamedTuple, TypeVar

import numpy as np
import numpy.typing as npt

from shared.errors import ConfigError

Int64 = npt.NDArray[np.int64]
UInt32 = npt.NDArray[np.uint32]
Rows = npt.NDArray[np.integer[Any]]
Drawn = TypeVar("Drawn")


# Figures in docs/decisions.md. The window that is read next may take as much again.
_WINDOW = 64
_WINDOW_BYTES = 64 << 20

# Of a batch, its embeddings, and what the hidden layers of the default model make of it. A step
# holds several times as much.
_BATCH_BYTES = 64 << 20
HIDDEN_BYTES = 4 * 3 * 256


def default_batch(shard_records: int, record_bytes: int) -> int:
    """Return how many records to make a batch of: a shard, or fewer if they take over 64 MiB.

    Args:
        shard_records: number of records in a shard.
        record_bytes: what a record takes before the hidden layers; see `FeatureSpec.record_bytes`.
    """
    return max(1, min(shard_records, _BATCH_BYTES // (record_bytes + HIDDEN_BYTES)))


def default_window(shard_bytes: int) -> int:
    """Return how many shards to mix, if the arrays of each take so many bytes."""
    return max(1, min(_WINDOW, _WINDOW_BYTES // max(shard_bytes, 1)))


class Part(NamedTuple):
    """Some of the records of a window, in their order: `start <= place < stop`."""

    window: int
    start: int
    stop: int


class BatchPlan:
    """The order of an epoch, and its batches. Every record is in exactly one batch.

    Attributes:
        batch_size: number of records in every batch but the last.
    """

    def __init__(
        self, shard_records: Int64, *, batch_size: int, window: int, seed: int | None
    ) -> None:
        """Prepare the plan, and begin epoch 0.

        Args:
            shard_records: number of records in each shard, shape (S,), S shards.
            batch_size: number of records in every batch but the last.
            window: number of shards that are mixed.
            seed: of the order; None keeps the order of the records.

        Raises:
            ConfigError: a size that is not positive.
        """
        if batch_size < 1:
            raise ConfigError("batch_size", expected="1 or more", found=str(batch_size))
        if window < 1:
            raise ConfigError("shuffle_window", expected="1 or more", found=str(window))
        self._records = shard_records
        self._firsts = np.cumsum(shard_records) - shard_records
        self._total = int(shard_records.sum())
        # In a window of all records, eight bytes for each would be a lot.
        self._row_type = np.uint32 if self._total < 1 << 32 else np.int64
        self.batch_size = batch_size
        # Without an order to draw, a wider window would only keep more shards in memory.
        self._window = 1 if seed is None else window
        self._seed = seed
        self.begin(0)

    def begin(self, epoch: int) -> None:
        """Lay out the order of an epoch."""
        self._epoch = epoch
        count = len(self._records)
        if self._seed is None:
            self._shards = np.arange(count)
        else:
            self._shards = np.random.default_rng((self._seed, epoch)).permutation(count)
        ends = np.cumsum(self._records[self._shards])
        # Where each window ends, in records of the epoch.
        self._ends = np.append(ends[self._window - 1 : -1 : self._window], self._total)
        self._places: dict[int, UInt32] = {}
        self._rows: dict[int, Rows] = {}

    def __len__(self) -> int:
        """Return the number of batches in an epoch."""
        return -(-self._total // self.batch_size)

    def parts(self, batch: int) -> list[Part]:
        """Return what a batch takes of which windows, in its order.

        Raises:
            IndexError: there is no such batch.
        """
        if not 0 <= batch < len(self):
            raise IndexError(f"batch {batch} of {len(self)}")
        start = batch * self.batch_size
        stop = min(start + self.batch_size, self._total)
        parts = []
        # `right`: the first window that ends behind `start`, so that empty ones are passed over.
        number = int(np.searchsorted(self._ends, start, side="right"))
        while start < stop:
            begin = int(self._ends[number - 1]) if number else 0
            end = int(self._ends[number])
            if start < end:
                parts.append(Part(number, start - begin, min(stop, end) - begin))
            start = max(start, end)
            number += 1
        return parts

    def window(self, number: int) -> list[int]:
        """Return the shards of a window, by their numbers; W of them, fewer at the end."""
        found = self._shards[number * self._window : (number + 1) * self._window]
        return [int(shard) for shard in found]

    def ahead(self, number: int, batches: int) -> list[int]:
        """Return the shards that follow a window: one window of them, or more for `batches`."""
        first = (number + 1) * self._window
        record = int(self._ends[number]) + batches * self.batch_size
        last = int(np.searchsorted(self._ends, record)) + 1 if batches else number + 1
        return [int(shard) for shard in self._shards[first : (last + 1) * self._window]]

    def places(self, number: int) -> UInt32 | None:
        """Return where the records of a window lie, in the order of the epoch.

        For each of its R records, the place among those of its shards laid end to end, shape (R,);
        None where this is 0, 1, 2, …
        """
        if self._seed is None:
            return None
        if number not in self._places:
            _keep_last(self._places, number)[number] = self._draw(number, self._seed)
        return self._places[number]

    def rows(self, batch: int) -> Rows:
        """Return the records of a batch, as their numbers on this side, shape (B,).

        Records are numbered from 0, shard after shard, in the order of the shards' numbers.
        """
        found = []
        for part in self.parts(batch):
            if part.window not in self._rows:
                _keep_last(self._rows, part.window)[part.window] = self._number(part.window)
            found.append(self._rows[part.window][part.start : part.stop])
        return found[0] if len(found) == 1 else np.concatenate(found)

    def shards(self, batch: int) -> list[int]:
        """Return the shards that a batch has records of, by their numbers."""
        ends = self._firsts + self._records
        return [int(n) for n in np.unique(np.searchsorted(ends, self.rows(batch), side="right"))]

    def _draw(self, number: int, seed: int) -> UInt32:
        # Numbers from 1, as NumPy takes (seed, epoch, 0) for (seed, epoch).
        places = np.arange(self._records[self.window(number)].sum(), dtype=np.uint32)
        np.random.default_rng((seed, self._epoch, number + 1)).shuffle(places)
        return places

    def _number(self, window: int) -> Rows:
        """Return the numbers of the records of a window, in the order of the epoch."""
        shards = self.window(window)
        counts = self._records[shards]
        # Those of the window's first shard, then of its second, and so on.
        runs = [
            np.arange(first, first + count, dtype=self._row_type)
            for first, count in zip(self._firsts[shards], counts, strict=True)
        ]
        rows = np.concatenate(runs)
        return rows if self._seed is None else rows[self._draw(window, self._seed)]


def _keep_last(drawn: dict[int, Drawn], number: int) -> dict[int, Drawn]:
    """Forget all windows but the one before: a batch lies across two."""
    for other in drawn.keys() - {number - 1}:
        del drawn[other]
    return drawn
