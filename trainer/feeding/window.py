"""Batches from shards: the windows of a plan, held in memory while their records are given out."""

from __future__ import annotations

from collections.abc import Callable, Sequence

from trainer.features.encode import Batch, lay_end_to_end
from trainer.feeding.feed import Feed
from trainer.shards.batches import BatchPlan, Part
from trainer.shards.shard import Shard


class WindowReader:
    """Reads the batches of a plan from shards, the next window while one is given out.

    Of each window it keeps the arrays of its shards, laid end to end; so two windows are in memory,
    this one and, in the feed, what is there of the next.
    """

    def __init__(
        self,
        plan: BatchPlan,
        shards: Sequence[Shard],
        feed: Feed,
        keep: Callable[[int, Batch], None],
    ) -> None:
        """Prepare; `keep` is given the number and the arrays of each shard that was read."""
        self._plan = plan
        self._shards = shards
        self._feed = feed
        self._keep = keep
        self._open: dict[int, Batch] = {}

    def forget(self) -> None:
        """Let go of what was read: the plan has begun another epoch, or a cache is there."""
        self._open = {}
        self._feed.forget(self)

    def read(self, batch: int, *, ahead: int) -> Batch:
        """Return a batch; the arrays belong to the caller.

        Args:
            batch: its number.
            ahead: number of batches after it that are to be read meanwhile; 0 where it is not known
                what comes next.

        Raises:
            ShardfitError: as `Feed.read`.
        """
        parts = self._plan.parts(batch)
        last = parts[-1]
        closed = [part.window for part in parts if part.window not in self._open]
        if closed:
            self._read_windows(closed, self._plan.ahead(last.window, ahead) if ahead else [])
        else:
            self._feed.attend()
        records = sum(part.stop - part.start for part in parts)
        found = lay_end_to_end(map(self._take, parts), records)
        size = len(self._open[last.window].x)
        self._open = {last.window: self._open[last.window]} if last.stop < size else {}
        return found

    def _read_windows(self, windows: Sequence[int], ahead: Sequence[int]) -> None:
        needed = [shard for window in windows for shard in self._plan.window(window)]
        found = self._feed.read(
            [self._shards[shard] for shard in needed],
            ahead=[self._shards[shard] for shard in ahead],
            owner=self,
        )
        for place, shard in enumerate(needed):
            self._keep(shard, found[place])
        found.reverse()
        for window in windows:
            shards = self._plan.window(window)
            records = sum(self._shards[shard].records for shard in shards)
            self._open[window] = lay_end_to_end((found.pop() for _ in shards), records)

    def _take(self, part: Part) -> Batch:
        window = self._open[part.window]
        places = self._plan.places(part.window)
        if places is not None:
            chosen = places[part.start : part.stop]
            return window.each(lambda array: array.take(chosen, axis=0))
        if part.stop - part.start == len(window.x):
            return window
        return window.each(lambda array: array[part.start : part.stop].copy())
