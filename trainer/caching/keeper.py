"""Keeps the encoded records of one side in a cache, and gives them out of it again."""

from __future__ import annotations

import contextlib
import math
import os
import shutil
import weakref
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path

from shared.errors import ContractError, TargetError
from shared.layout import Side
from trainer.caching.cache import CONTENTS_NAME, Cache, array_shapes, cache_name
from trainer.caching.store import is_there, make_room, places
from trainer.caching.writer import CacheWriter
from trainer.features.encode import Batch
from trainer.features.spec import FeatureSpec
from trainer.shards.batches import Rows
from trainer.shards.shard import Shard


class Keeper:
    """Finds a cache, or writes one while the shards are read, or says why it does neither.

    No failure of a cache is one of the run: it then reads the shards, which give the same batches.
    """

    def __init__(
        self,
        shards: Sequence[Shard],
        spec: FeatureSpec,
        *,
        dataset: Path,
        side: Side,
        cache: str | os.PathLike[str],
        cache_bytes: int | None,
        say: Callable[[str], None],
    ) -> None:
        """Look for a cache.

        Args:
            shards: those of the side.
            spec: what X and Y are made of.
            dataset: directory of the dataset.
            side: of the dataset.
            cache: "auto", "off", or the directory where caches are to lie.
            cache_bytes: what all caches there may take together; None: what is free on the disk.
            say: takes a line.
        """
        self._shards = shards
        self._spec = spec
        self._dataset = dataset.resolve()
        self._side = side
        self._cache_bytes = cache_bytes
        self._say = say
        self._cache: Cache | None = None
        self._writer: CacheWriter | None = None
        self._close: Callable[[], object] = lambda: None
        # Damaged caches that could not be removed.
        self._distrusted: set[Path] = set()
        self._places = [] if cache == "off" else places(cache, dataset)
        self._name = cache_name(shards, side, spec) if self._places else ""
        self._writes = bool(self._places)
        # Whether another run writes the cache; it may not live to complete it.
        self._is_outrun = False
        self._is_refused = False
        self.look()

    @property
    def is_complete(self) -> bool:
        """Whether all records come from the cache."""
        return self._cache is not None

    @property
    def is_refused(self) -> bool:
        """Whether there is no cache for a reason that was said."""
        return self._is_refused and self._cache is None

    def look(self) -> None:
        """Use the cache if it is complete, by this run's doing or another's.

        If another run was writing it, the next shard that is read tries to take that over.
        """
        if self._cache is not None:
            return
        self._writes |= self._is_outrun
        for place in self._places:
            path = place / self._name
            if path in self._distrusted or not is_there(path):
                continue
            try:
                self._cache = Cache(path, self._shards, self._spec)
            except ContractError as error:
                self._drop(path, error)
                continue
            self._stop_writing()
            # When it was last used. On a read-only disk nobody makes room, either.
            with contextlib.suppress(OSError):
                os.utime(path / CONTENTS_NAME)
            return

    def look_at_writer(self) -> None:
        """Use the cache if this run has just completed it."""
        if self._writer is not None:
            with self._giving_up():
                if self._writer.is_done:
                    self._stop_writing()
                    self.look()

    def take(self, rows: Rows) -> Batch | None:
        """Return records, shape (B,), if the cache has them; the arrays belong to the caller."""
        if self._cache is None:
            return None
        try:
            return self._cache.take(rows)
        except ContractError as error:
            self._drop(self._cache.path, error)
            self._cache = None
            return None

    def put(self, shard: int, batch: Batch) -> None:
        """Take the records of a shard that was read, for the cache."""
        if self._writes and self._writer is None:
            self.look()
            self._writes = False
            if self._cache is None:
                self._start_writing()
        if self._writer is not None:
            with self._giving_up():
                self._writer.put(shard, batch)

    def close(self) -> None:
        """Complete a cache that has all records; leave nothing of another one, and begin none."""
        self._writes = self._is_outrun = False
        if self._writer is not None:
            self._stop_writing()
            self.look()

    def _start_writing(self) -> None:
        shapes = array_shapes(sum(shard.records for shard in self._shards), self._spec)
        needed_bytes = sum(4 * math.prod(shape) for shape in shapes)
        reasons = []
        for place in self._places:
            try:
                make_room(
                    place,
                    self._name,
                    dataset=self._dataset,
                    side=self._side,
                    needed_bytes=needed_bytes,
                    most_bytes=self._cache_bytes,
                )
                self._writer = CacheWriter(
                    place / self._name,
                    self._shards,
                    self._spec,
                    dataset=self._dataset,
                    side=self._side,
                )
            except BlockingIOError:
                if self._is_outrun:
                    return  # still; it has been said
                self._is_outrun = True
                reasons = [f"another run is writing it in {place}"]
                break
            except TargetError as error:
                reasons.append(str(error))
            except OSError as error:
                reasons.append(f"{place}: {error.strerror}")
            else:
                self._is_outrun = self._is_refused = False
                # Also where nobody calls `close`.
                self._close = weakref.finalize(self, self._writer.close)
                return
        self._refuse("; ".join(reasons))

    def _stop_writing(self) -> None:
        self._close()
        self._close = lambda: None
        self._writer = None

    @contextlib.contextmanager
    def _giving_up(self) -> Iterator[None]:
        try:
            yield
        except OSError as error:
            self._stop_writing()
            self._refuse(error.strerror or str(error))

    def _refuse(self, reason: str) -> None:
        self._is_refused = True
        self._say(f"no cache of the {self._side} side: {reason}")

    def _drop(self, path: Path, error: ContractError) -> None:
        shutil.rmtree(path, ignore_errors=True)
        if path.exists():
            self._distrusted.add(path)
        # A new one is written from the shards that are read from now on.
        self._writes = True
        fate = "cannot be removed" if path.exists() else "is removed"
        self._say(f"{error}; the cache {fate}, and the shards are read instead")
