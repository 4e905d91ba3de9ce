"""Which records make up which batch: a pure function of the seed, the epoch and the batch."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
import numpy.typing as npt

from shared.errors import ConfigError


class Piece(NamedTuple):
    """A run of records of one shard, `start <= record < stop`."""

    shard: int
    start: int
    stop: int


def shard_order(count: int, *, seed: int, epoch: int) -> npt.NDArray[np.int64]:
    """Return the numbers of `count` shards, shape (count,), in the order of one epoch.

    A function of its arguments alone, so that a run that was cut off at (epoch, batch) can go on
    exactly there.
    """
    return np.random.default_rng((seed, epoch)).permutation(count)


class BatchPlan:
    """Cuts the shards of an epoch, laid end to end in a given order, into batches.

    Every record is in exactly one batch, whatever the size of batches and shards.
    """

    def __init__(self, shard_records: npt.NDArray[np.int64], batch_size: int | None) -> None:
        """Prepare the plan.

        Args:
            shard_records: number of records in each shard, shape (S,), S shards.
            batch_size: number of records in every batch but the last; None makes one shard one
                batch.

        Raises:
            ConfigError: the batch size is not positive.
        """
        if batch_size is not None and batch_size < 1:
            raise ConfigError("batch_size", expected="1 or more", found=str(batch_size))
        self._records = shard_records
        self._batch_size = batch_size
        self.order(np.arange(len(shard_records)))

    def order(self, shards: npt.NDArray[np.int64]) -> None:
        """Lay the shards end to end in another order, shape (S,)."""
        self._shards = shards
        self._ends = np.cumsum(self._records[shards])

    def __len__(self) -> int:
        """Return the number of batches in an epoch; it does not depend on the order."""
        if self._batch_size is None:
            return len(self._records)
        return -(-int(self._records.sum()) // self._batch_size)

    def pieces(self, batch: int) -> list[Piece]:
        """Return the records of one batch, in their order.

        Raises:
            IndexError: there is no such batch.
        """
        if not 0 <= batch < len(self):
            raise IndexError(f"batch {batch} of {len(self)}")
        if self._batch_size is None:
            shard = int(self._shards[batch])
            return [Piece(shard, 0, int(self._records[shard]))]
        start = batch * self._batch_size
        stop = min(start + self._batch_size, int(self._ends[-1]))
        pieces = []
        # `right`: the first shard that ends behind `start`, so that empty ones are passed over.
        at = int(np.searchsorted(self._ends, start, side="right"))
        while start < stop:
            shard, end = int(self._shards[at]), int(self._ends[at])
            begin = end - int(self._records[shard])
            pieces.append(Piece(shard, start - begin, min(stop, end) - begin))
            start = end
            at += 1
        return pieces

    def shards_from(self, batch: int, batches: int) -> list[int]:
        """Return the shards that `batches` batches from `batch` on need, in their order."""
        last = min(batch + batches, len(self)) - 1
        if last < batch:
            return []
        if self._batch_size is None:
            return [int(shard) for shard in self._shards[batch : last + 1]]
        first_record = batch * self._batch_size
        last_record = min((last + 1) * self._batch_size, int(self._ends[-1])) - 1
        low, high = np.searchsorted(self._ends, (first_record, last_record), side="right")
        return [int(shard) for shard in self._shards[low : high + 1] if self._records[shard]]
