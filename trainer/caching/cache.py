"""A cache: the encoded records of one side of a dataset, as plain NumPy files in a directory.

    train-ORIGIN-ENCODING/
    ├── x.npy         float32, shape (R, F): R records in the order of the shards, F features
    ├── y.npy         float32, shape (R,), or (R, C) for C classes
    ├── weights.npy   float32, shape (R,), if a column says how much each record counts
    └── cache.json    what it is of, and a checksum for the records of each shard

A cache has its name only once it is complete, and is never changed. Its name tells all that its
arrays depend on: ORIGIN is a hash of what the shards hold, ENCODING of how it is encoded. The files
are mapped, not read: records are gathered from the system's file cache, which all runs share.
"""

from __future__ import annotations

import io
import math
import mmap
import os
from collections.abc import Sequence
from pathlib import Path
from typing import Literal, get_args

import msgspec
import numpy as np
import numpy.typing as npt
import xxhash

from shared import values
from shared.errors import ContractError
from shared.layout import Side
from shared.manifest import MAX_SHARDS
from shared.reading import decode_json, open_plain, read_plain
from trainer import features
from trainer.features.encode import Batch, Float32
from trainer.features.spec import FeatureSpec
from trainer.shards.batches import Rows
from trainer.shards.shard import Shard

FORMAT = 1

# As in a `Batch`; the last one only where there are weights.
ArrayName = Literal["x.npy", "y.npy", "weights.npy"]
ARRAY_NAMES: tuple[ArrayName, ...] = get_args(ArrayName)
CONTENTS_NAME = "cache.json"

# Mapped pages count as memory of the process, although the system may take them back at any time.
# So the mapping is emptied when it has grown to this, of each side. That costs a fault, 2 µs, for
# each block that is used again; a block is what Linux maps where one record is touched.
_MAPPED_BYTES = 128 << 20
_BLOCK_BYTES = 64 << 10


# A checksum for each shard.
_MAX_CONTENTS_BYTES = 64 * MAX_SHARDS


class Contents(msgspec.Struct, frozen=True, kw_only=True):
    """What `cache.json` holds.

    Attributes:
        format: version of this form.
        dataset: path of the dataset when the cache was made, for people.
        side: of the dataset.
        records: R.
        features: F.
        arrays: names of their files.
        xxh3_128: for each shard, the checksum of its rows of each array.
    """

    format: int = FORMAT
    dataset: str
    side: Side
    records: int
    features: int
    arrays: tuple[ArrayName, ...]
    xxh3_128: tuple[str, ...]


def cache_name(shards: Sequence[Shard], side: Side, spec: FeatureSpec) -> str:
    """Return the name of the cache of these shards.

    What they hold is known by their checksums in the manifest, and where there is none, by their
    paths, sizes and times. How it is encoded: by the features, by how the label is read, and by the
    code itself, so that who changes that need not remember to change a number. Class weights are
    no part of it: see `trainer.features.weights`.
    """
    origin, encoding = xxhash.xxh3_64(), xxhash.xxh3_64()
    for shard in shards:
        origin.update(msgspec.msgpack.encode(_identity(shard)))
    label = msgspec.structs.replace(spec.label, weights=(), counts=())
    encoding.update(
        msgspec.msgpack.encode((FORMAT, spec.features, label, spec.weight, spec.transform))
    )
    for package in features.__path__:
        for module in sorted(Path(package).glob("*.py")):
            encoding.update(module.read_bytes())
    encoding.update(Path(str(values.__file__)).read_bytes())
    return f"{side}-{origin.hexdigest()}-{encoding.hexdigest()}"


def _identity(shard: Shard) -> tuple[object, ...]:
    if shard.xxh3_128 is not None:
        return shard.records, shard.bytes, shard.xxh3_128
    path = Path(shard.path)
    found = path.stat()
    return os.fsencode(path.resolve()), found.st_size, found.st_mtime_ns


def array_shapes(records: int, spec: FeatureSpec) -> list[tuple[int, ...]]:
    """Return the shapes of the arrays in a cache of so many records, in their order."""
    classes = (spec.label.outputs,) if spec.label.task == "multiclass" else ()
    shapes = [(records, spec.width), (records, *classes)]
    return shapes if spec.weight is None else [*shapes, (records,)]


class Cache:
    """Gives records out of a cache."""

    def __init__(self, path: Path, shards: Sequence[Shard], spec: FeatureSpec) -> None:
        """Open a cache.

        Args:
            path: its directory, named by `cache_name`.
            shards: those of its side.
            spec: what X and Y are made of.

        Raises:
            ContractError: it is not what its name says: a file is missing or has another size.
        """
        self.path = path
        counts = np.array([shard.records for shard in shards], np.int64)
        self._ends = np.cumsum(counts)
        self._checksums = _load_contents(path, shards, int(counts.sum())).xxh3_128
        shapes = array_shapes(int(counts.sum()), spec)
        named = zip(ARRAY_NAMES, shapes, strict=False)
        mapped = [map_array(path / name, shape) for name, shape in named]
        self._maps, arrays = zip(*mapped, strict=True)
        self._batch = Batch(*arrays)
        # Shards whose checksum was not yet proved in this run.
        self._unproved = np.ones(len(shards), np.bool_)
        # X is the largest by far.
        self._x_bytes = self._batch.x.nbytes
        self._row_bytes = self._x_bytes // max(len(self._batch.x), 1)
        self._is_mapped = np.zeros(self._x_bytes // _BLOCK_BYTES + 1, np.bool_)

    def take(self, rows: Rows) -> Batch:
        """Return records by their numbers, shape (B,); the arrays belong to the caller.

        The first time in a run that a record of a shard is asked for, the checksum of its shard is
        proved.

        Raises:
            ContractError: a checksum is another one, or a file was cut off.
        """
        self._check_sizes()
        if self._unproved.any():
            for shard in np.unique(np.searchsorted(self._ends, rows, side="right")):
                if self._unproved[shard]:
                    self._prove(int(shard))
        batch = self._batch.each(lambda array: array.take(rows, axis=0))
        if self._x_bytes > _MAPPED_BYTES:
            self._limit_mapped(rows)
        return batch

    def _check_sizes(self) -> None:
        """Refuse files that were cut off since they were mapped: to touch what is gone is SIGBUS.

        Within the 50 µs of a batch that may still come.
        """
        for name, mapped in zip(ARRAY_NAMES, self._maps, strict=False):
            if mapped.size() != len(mapped):
                raise ContractError(
                    self.path / name,
                    expected=f"{len(mapped):,} bytes, as when it was opened",
                    found=f"{mapped.size():,}",
                )

    def _prove(self, shard: int) -> None:
        first = int(self._ends[shard - 1]) if shard else 0
        end = int(self._ends[shard])
        found = self._batch.each(lambda array: array[first:end])
        if checksum(found) != self._checksums[shard]:
            raise ContractError(
                self.path,
                expected=f"the checksum in {CONTENTS_NAME} for the records of shard {shard}",
                found="another one",
            )
        self._unproved[shard] = False
        if self._x_bytes > _MAPPED_BYTES:
            self._limit_mapped(np.arange(first, end))

    def _limit_mapped(self, rows: Rows) -> None:
        """Note that records were touched, and empty the mapping if it has become large."""
        self._is_mapped[rows.astype(np.int64) * self._row_bytes // _BLOCK_BYTES] = True
        if np.count_nonzero(self._is_mapped) * _BLOCK_BYTES > _MAPPED_BYTES:
            self._is_mapped[:] = False
            for mapped in self._maps:
                mapped.madvise(mmap.MADV_DONTNEED)


def checksum(batch: Batch) -> str:
    """Return the checksum of the records of one shard."""
    hashed = xxhash.xxh3_128()
    for array in batch.arrays:
        hashed.update(array.data)
    return hashed.hexdigest()


def read_contents(path: Path) -> Contents:
    """Return what the cache in a directory says that it holds.

    Raises:
        OSError: its file cannot be read.
        ContractError: it is none of a cache.
    """
    file = path / CONTENTS_NAME
    data = read_plain(file, at_most=_MAX_CONTENTS_BYTES)
    return decode_json(data, Contents, file, expected="what a cache holds")


def _load_contents(path: Path, shards: Sequence[Shard], records: int) -> Contents:
    file = path / CONTENTS_NAME
    try:
        contents = read_contents(path)
    except OSError as error:
        raise ContractError(file, found=error.strerror or str(error)) from None
    wanted = (FORMAT, records, len(shards))
    if (contents.format, contents.records, len(contents.xxh3_128)) != wanted:
        raise ContractError(file, expected=f"{records:,} records", found="another cache's contents")
    return contents


def array_header(shape: tuple[int, ...]) -> bytes:
    """Return what a `.npy` file of float32 begins with."""
    header = io.BytesIO()
    form = {"shape": shape, "fortran_order": False, "descr": np.dtype(np.float32).str}
    np.lib.format.write_array_header_1_0(header, form)
    return header.getvalue()


def map_array(file: Path, shape: tuple[int, ...]) -> tuple[mmap.mmap, Float32]:
    """Map the array in a `.npy` file.

    Its header is compared, not parsed: what another one says might be anything.

    Raises:
        ContractError: it is none of float32 and of this shape.
    """
    header = array_header(shape)
    try:
        with open_plain(file) as source:
            mapped = mmap.mmap(source.fileno(), 0, access=mmap.ACCESS_READ)
    except (OSError, ValueError) as error:
        raise ContractError(file, expected="an array of a cache", found=str(error)) from None
    size = len(header) + 4 * math.prod(shape)
    if len(mapped) != size or mapped[: len(header)] != header:
        raise ContractError(
            file,
            expected=f"{size:,} bytes, float32 of shape {shape}",
            found=f"{len(mapped):,} bytes" + " of another array" * (len(mapped) == size),
        )
    array: npt.NDArray[np.float32] = np.frombuffer(mapped, np.float32, offset=len(header))
    return mapped, array.reshape(shape)
