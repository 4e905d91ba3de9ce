"""Writes a cache while a run reads the shards, each when it comes by."""

from __future__ import annotations

import contextlib
import fcntl
import os
import shutil
import threading
from collections.abc import Sequence
from pathlib import Path
from typing import BinaryIO

import msgspec
import numpy as np

from shared.durable import sync_names
from shared.layout import Side
from shared.manifest import spell_path
from trainer.caching.cache import (
    ARRAY_NAMES,
    CONTENTS_NAME,
    Contents,
    array_header,
    array_shapes,
    checksum,
)
from trainer.features.encode import Batch, Float32
from trainer.features.spec import FeatureSpec
from trainer.shards.shard import Shard

PARTIAL_SUFFIX = ".partial"


class CacheWriter:
    """Writes one cache, in a directory beside its place, which it gets when it is complete.

    The parent writes, not the worker that encoded: 124 KB take 50 µs, whoever does it, and so one
    process alone knows what is written, and no dying worker can leave half a record behind.
    """

    def __init__(
        self, path: Path, shards: Sequence[Shard], spec: FeatureSpec, *, dataset: Path, side: Side
    ) -> None:
        """Begin to write.

        Args:
            path: directory of the cache to be.
            shards: those of its side.
            spec: what X and Y are made of.
            dataset: where the shards are.
            side: of the dataset.

        Raises:
            OSError: no directory or file can be made here. `BlockingIOError`: another run is
                writing the same cache.
        """
        self._path = path
        self._spec = spec
        self._dataset = dataset
        self._side = side
        counts = np.array([shard.records for shard in shards], np.int64)
        self._ends = np.cumsum(counts)
        self._checksums = [""] * len(shards)
        self._missing = len(shards)
        self._is_complete = False
        self._finish: threading.Thread | None = None
        self._error: OSError | None = None
        self._partial = path.with_name(path.name + PARTIAL_SUFFIX)
        self._lock: int | None = lock_partial(self._partial)
        self._files: list[BinaryIO] = []
        try:
            shapes = array_shapes(int(counts.sum()), spec)
            for name, shape in zip(ARRAY_NAMES, shapes, strict=False):
                self._files.append(_create(self._partial / name, shape))
        except BaseException:
            self.discard()
            raise

    @property
    def is_done(self) -> bool:
        """Whether the cache is complete and has its name.

        Raises:
            OSError: it cannot be completed.
        """
        if self._error is not None:
            raise self._error
        return self._is_complete

    def put(self, shard: int, batch: Batch) -> None:
        """Write the records of a shard, unless that was done before.

        With the last one the cache is completed, in a thread, as the disk may take its time.

        Raises:
            OSError: they cannot be written.
        """
        if self._checksums[shard]:
            return
        first = int(self._ends[shard]) - len(batch.x)
        for file, rows in zip(self._files, batch.arrays, strict=True):
            _write(file, rows, first)
        self._checksums[shard] = checksum(batch)
        self._missing -= 1
        if not self._missing:
            self._finish = threading.Thread(target=self._complete)
            self._finish.start()

    def close(self) -> None:
        """Wait until a cache that has all records is complete; discard any other."""
        try:
            if self._finish is not None:
                self._finish.join()
        finally:
            # Also where Ctrl-C ends the wait; the thread then finds its files gone.
            self.discard()

    def discard(self) -> None:
        """Leave nothing of a cache that was not completed."""
        if self._lock is None:
            return
        for file in self._files:
            file.close()
        if not self._is_complete:
            shutil.rmtree(self._partial, ignore_errors=True)
        os.close(self._lock)
        self._lock = None

    def _complete(self) -> None:
        contents = Contents(
            dataset=spell_path(self._dataset),
            side=self._side,
            records=int(self._ends[-1]),
            features=self._spec.width,
            arrays=ARRAY_NAMES[: len(self._files)],
            xxh3_128=tuple(self._checksums),
        )
        try:
            with (self._partial / CONTENTS_NAME).open("wb") as file:
                file.write(msgspec.json.encode(contents))
                _sync(file)
            for array in self._files:
                _sync(array)
            sync_names(self._partial)
            if self._path.exists():  # another run was faster
                shutil.rmtree(self._partial)
            else:
                self._partial.rename(self._path)
            self._is_complete = True
            sync_names(self._path.parent)
        except OSError as error:
            self._error = error
        except ValueError:
            if self._lock is not None:
                raise


def lock_partial(partial: Path) -> int:
    """Make or take over the directory of an unfinished cache; return the handle that locks it.

    The lock ends with the process, however it ends. What an earlier one left there is removed.

    Raises:
        OSError: it cannot be made. `BlockingIOError`: another run holds it.
    """
    while True:
        partial.mkdir(parents=True, exist_ok=True)
        # What is in it is removed, so it must not be a link to somewhere else.
        handle = os.open(partial, os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW)
        try:
            fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
            # Whoever held it may have finished in between: then its place is empty, or new.
            with contextlib.suppress(FileNotFoundError):
                if os.path.samestat(os.fstat(handle), partial.lstat()):
                    for entry in partial.iterdir():
                        entry.unlink()
                    return handle
        except OSError:
            os.close(handle)
            raise
        os.close(handle)


def _create(file: Path, shape: tuple[int, ...]) -> BinaryIO:
    """Make a `.npy` file of float32 without its contents, which are written later."""
    array = file.open("xb", buffering=0)
    try:
        array.write(array_header(shape))
        os.truncate(array.fileno(), array.tell() + 4 * int(np.prod(shape)))
    except OSError:
        array.close()
        raise
    return array


def _write(file: BinaryIO, rows: Float32, first: int) -> None:
    """Write rows of an array from row `first` on."""
    view = rows.reshape(-1).view(np.uint8).data
    # The position stays behind the header.
    offset = file.tell() + first * (rows.nbytes // max(len(rows), 1))
    while view:
        written = os.pwrite(file.fileno(), view, offset)
        view, offset = view[written:], offset + written


def _sync(file: BinaryIO) -> None:
    file.flush()
    os.fsync(file.fileno())
