"""The batches of one side of a dataset, from its cache or from its shards: the same from either."""

from __future__ import annotations

import os
from collections.abc import Callable, Sequence

import numpy as np

from shared.layout import Side
from trainer.caching.keeper import Keeper
from trainer.features.encode import Batch
from trainer.feeding.feed import Feed
from trainer.feeding.window import WindowReader
from trainer.shards.batches import BatchPlan, default_batch, default_window
from trainer.shards.dataset import Dataset
from trainer.shards.shard import Shard


class BatchReader:
    """Reads the batches of a plan, one epoch after another.

    Attributes:
        plan: which records make up which batch.
        records: number of records in an epoch.
    """

    def __init__(
        self,
        dataset: Dataset,
        feed: Feed,
        *,
        side: Side,
        batch_size: int | None,
        seed: int | None,
        window: int | None,
        cache: str | os.PathLike[str],
        cache_bytes: int | None,
        say: Callable[[str], None],
    ) -> None:
        """Open a side that has shards, and begin epoch 0.

        Args:
            dataset: where the records are.
            feed: what reads its shards; it knows what X and Y are made of.
            side: of the dataset.
            batch_size: records in a batch; None takes the default.
            seed: of the order; None keeps the order of the records.
            window: number of shards whose records are mixed; None takes the default.
            cache: as `trainer.caching.keeper.Keeper` takes it, and so the next.
            cache_bytes: what all caches there may take together.
            say: takes a line of prose.
        """
        self._shards: Sequence[Shard] = dataset.shards[side]
        spec = feed.spec
        records = np.array([shard.records for shard in self._shards], np.int64)
        if window is None:
            width = spec.width + spec.label.outputs
            window = default_window(4 * width * int(records.max()))
        if batch_size is None:
            batch_size = default_batch(int(records.max()), spec.record_bytes)
        self.plan = BatchPlan(records, batch_size=batch_size, window=window, seed=seed)
        self.records = int(records.sum())
        self._keeper = Keeper(
            self._shards,
            spec,
            dataset=dataset.path,
            side=side,
            cache=cache,
            cache_bytes=cache_bytes,
            say=say,
        )
        self._from_shards = WindowReader(self.plan, self._shards, feed, self._keeper.put)
        self._last = -1

    def begin(self, epoch: int) -> None:
        """Begin an epoch."""
        self.plan.begin(epoch)
        self._from_shards.forget()
        self._keeper.look()
        self._last = -1

    @property
    def is_cached(self) -> bool:
        """Whether the batches come from a cache."""
        return self._keeper.is_complete

    @property
    def is_cache_refused(self) -> bool:
        """Whether there is no cache for a reason that was said."""
        return self._keeper.is_refused

    def read(self, batch: int, *, ahead: int) -> Batch:
        """Return a batch; the arrays belong to the caller.

        Args:
            batch: its number.
            ahead: number of batches after it that are to be read meanwhile, if it is the first or
                the one behind the last that was read: only then it is known what comes next.

        Raises:
            ShardfitError: as `Feed.read`.
        """
        if batch not in (0, self._last + 1):
            ahead = 0
        self._last = batch
        if self._keeper.is_complete:
            found = self._keeper.take(self.plan.rows(batch))
            if found is not None:
                return found
        found = self._from_shards.read(batch, ahead=ahead)
        self._keeper.look_at_writer()
        if self._keeper.is_complete:
            # In the middle of an epoch: the order stays the same.
            self._from_shards.forget()
        return found

    def shards_of(self, batch: int) -> list[str]:
        """Return the paths of the shards that a batch of this epoch has records of."""
        return [self._shards[number].path for number in self.plan.shards(batch)]

    def close(self) -> None:
        """Complete the cache, if it has all records."""
        self._keeper.close()
