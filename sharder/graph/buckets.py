"""Records on their way to a random order: scattered to buckets on disk, then gathered in order.

The order of a shuffled dataset is that of a key of each record, which is a hash of the seed and the
record's number. The first bits of the key say the bucket. So neither blocks nor workers, nor the
number of buckets, change the order; and the buckets, one after the other, each put in order in
memory, are all records in order.

A bucket's file has a segment for each block: how many records, the bytes of all, then arrays of
keys, sizes and sides, then the records, in the order of their keys. So the part of a bucket that
has some range of keys lies in one piece in each segment, and a bucket that is larger than what may
be in memory is gathered in parts, without being written again.
"""

from __future__ import annotations

import errno
import os
import struct
from array import array
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from sharder.disk.room import SPARE_BLOCKS, check_room
from sharder.graph.assign import REJECTED, Block
from sharder.graph.inspect import Records
from sharder.graph.shards import Sizes
from sharder.records.lines import Positions
from sharder.sides.census import Census
from shared.splitmix import mix

# More would make the pieces that a block writes to each too small.
_MAX_BITS = 10
# Of a stream, whose size nobody knows.
_STREAM_BITS = 8

# Positions in a block are 32-bit integers.
_MAX_PART_BYTES = 1 << 29

_HEAD = struct.Struct("<QQ")
# Of a record, beside its bytes: key, size, side.
ENTRY_BYTES = 8 + 4 + 1

# Makes the order of the shuffle another than that of the hashes that say the side.
_SHUFFLE = np.uint64(0x5348554646_4C45)

Keys = npt.NDArray[np.uint64]


@dataclass(frozen=True)
class Part:
    """The records of a bucket whose keys are at least `low` and less than `high`."""

    bucket: int
    low: int
    high: int


@dataclass
class Buckets:
    """What is known of the buckets.

    Attributes:
        part_bytes: about as many are gathered at once.
        sizes: of their files, in bytes; their number is a power of two.
    """

    part_bytes: int
    sizes: Sizes

    @classmethod
    def begin(cls, data_bytes: int | None, block_bytes: int) -> Buckets:
        """Begin with empty buckets.

        Args:
            data_bytes: size of all records, about; None if it is not known.
            block_bytes: of a block; twice as many are gathered at once.
        """
        part_bytes = min(2 * block_bytes, _MAX_PART_BYTES)
        bits = _STREAM_BITS
        if data_bytes is not None:
            bits = min((data_bytes // part_bytes).bit_length(), _MAX_BITS)
        return cls(part_bytes, array("q", bytes(8 << bits)))

    @property
    def is_sound(self) -> bool:
        """Whether a run can have come to this; what is read from a file may be anybody's."""
        n_buckets = len(self.sizes)
        is_power = 1 <= n_buckets <= 1 << _MAX_BITS and n_buckets.bit_count() == 1
        return is_power and min(self.sizes) >= 0 and 1 <= self.part_bytes <= _MAX_PART_BYTES

    @property
    def bits(self) -> int:
        """How many of a key's first bits say the bucket."""
        return len(self.sizes).bit_length() - 1

    def add(self, blocks: Sequence[npt.NDArray[np.int64]]) -> None:
        """Add what blocks have written to each."""
        for written in blocks:
            self.sizes = array("q", (np.array(self.sizes) + written).tobytes())

    def parts(self) -> list[Part]:
        """Return the parts to gather, in order."""
        width = 1 << (64 - self.bits)
        found = []
        for bucket, size in enumerate(self.sizes):
            n_parts = -(-size // self.part_bytes)
            cuts = [bucket * width + width * part // n_parts for part in range(n_parts)]
            cuts.append((bucket + 1) * width)
            found += [Part(bucket, *cuts[part : part + 2]) for part in range(n_parts)]
        return found

    def left_bytes(self, gathered: int) -> int:
        """Return the size of the files that are there when so many parts were gathered."""
        return sum(self.sizes[bucket] for bucket in {p.bucket for p in self.parts()[gathered:]})

    def rewind(self, directory: Path, gathered: int) -> str:
        """Cut off what was written since a checkpoint; return what is missing of what it tells of.

        Args:
            directory: of the buckets.
            gathered: number of parts that are in the shards.
        """
        needed = {part.bucket for part in self.parts()[gathered:]}
        if not directory.is_dir():
            return "there is no directory of buckets"
        for path in directory.iterdir():
            if not path.name.isdecimal() or int(path.name) not in needed:
                path.unlink()
        for bucket in needed:
            path = bucket_path(directory, bucket)
            if not path.exists() or path.stat().st_size < self.sizes[bucket]:
                return f"bucket {bucket} is not whole"
            os.truncate(path, self.sizes[bucket])
        return ""


def bucket_path(directory: Path, bucket: int) -> Path:
    """Return the file of a bucket."""
    return directory / f"{bucket:05d}"


def shuffle_keys(numbers: Keys, seed: int) -> Keys:
    """Return the keys that records with these numbers, (R,), are ordered by: all are different."""
    return mix(mix(numbers ^ mix(np.array([seed], np.uint64))) ^ _SHUFFLE)


def scatter(
    records: Records, block: Block, *, directory: Path, bits: int, seed: int
) -> npt.NDArray[np.int64]:
    """Write the records of a block to their buckets.

    Args:
        records: of the block.
        block: with their sides.
        directory: of the buckets.
        bits: of a key that say the bucket.
        seed: of the order.

    Returns:
        How many bytes were written to each bucket.

    Raises:
        TargetError: the disk is about to be full.
    """
    check_room(directory, bytes_=SPARE_BLOCKS * len(block.data), files=1 << bits)
    good = np.flatnonzero(block.sides != REJECTED)
    keys = shuffle_keys(records.numbers[good], seed)
    order = np.argsort(keys)
    chosen, keys = good[order], keys[order]
    data, ends = _take(block.data, block.starts, block.ends, chosen)
    lengths, sides = np.diff(ends).astype(np.uint32), block.sides[chosen]
    # The first key of each bucket; that behind the last one would have 65 bits.
    lows = np.arange(1 << bits, dtype=np.uint64) << np.uint64((64 - bits) % 64)
    bounds = np.append(np.searchsorted(keys, lows), len(keys))
    written = np.zeros(len(lows), np.int64)
    for bucket in np.flatnonzero(np.diff(bounds)).tolist():
        of = slice(*bounds[bucket : bucket + 2].tolist())
        own = data[ends[of.start] : ends[of.stop]]
        segment = [_HEAD.pack(of.stop - of.start, len(own)), keys[of], lengths[of], sides[of], own]
        written[bucket] = _append(bucket_path(directory, bucket), segment)
    return written


def gather(*_needed: object, part: Part, directory: Path) -> Block:
    """Return the records of a part, those of each side in the order of their keys."""
    segments = _read_segments(bucket_path(directory, part.bucket), part)
    *arrays, datas = zip(*segments, strict=True)
    keys, lengths, sides = map(np.concatenate, arrays)
    data = b"".join(datas)
    del datas
    ends = np.cumsum(lengths, dtype=np.int64).astype(np.int32)
    starts = ends - lengths.astype(np.int32)
    order = np.lexsort((keys, sides))
    taken, bounds = _take(data, starts, ends, order)
    return Block(taken, bounds[:-1], bounds[1:], sides[order], Census())


def _read_segments(path: Path, part: Part) -> Iterator[tuple[Any, Any, Any, bytes]]:
    with path.open("rb") as file:
        while head := file.read(_HEAD.size):
            count, size = _HEAD.unpack(head)
            index = file.read(count * ENTRY_BYTES)
            keys = np.frombuffer(index, np.uint64, count)
            lengths = np.frombuffer(index, np.uint32, count, 8 * count)
            sides = np.frombuffer(index, np.uint8, count, 12 * count)
            first = int(np.searchsorted(keys, np.uint64(part.low)))
            last = int(np.searchsorted(keys, np.uint64(part.high - 1), side="right"))
            before = int(lengths[:first].sum())
            own = int(lengths[first:last].sum())
            file.seek(before, os.SEEK_CUR)
            of = slice(first, last)
            yield keys[of], lengths[of], sides[of], file.read(own)
            file.seek(size - before - own, os.SEEK_CUR)


def _append(path: Path, segment: Sequence[Any]) -> int:
    """Append to a file with one call, so that other threads may do so, too; return the bytes."""
    size = sum(memoryview(part).nbytes for part in segment)
    handle = os.open(path, os.O_WRONLY | os.O_APPEND | os.O_CREAT, 0o666)
    try:
        if os.writev(handle, segment) != size:
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC), str(path))
    finally:
        os.close(handle)
    return size


def _take(
    data: bytes | memoryview, starts: Positions, ends: Positions, chosen: npt.NDArray[np.int64]
) -> tuple[memoryview, Positions]:
    """Return some records in the order chosen, and the bounds of each in them, (R + 1,)."""
    # Not at the top: a run that does not shuffle may need no Arrow, which takes 60 ms to import.
    import pyarrow as pa

    # Every other item is what lies between two records.
    bounds = np.zeros(2 * len(starts) + 1, np.int32)
    bounds[:-1:2], bounds[1::2] = starts, ends
    if len(starts):
        bounds[-1] = ends[-1]
    items = pa.BinaryArray.from_buffers(
        pa.binary(), 2 * len(starts), [None, pa.py_buffer(bounds), pa.py_buffer(data)]
    )
    taken = items.take(pa.array(2 * chosen))
    _, offsets, values = taken.buffers()
    return memoryview(values or b""), np.frombuffer(offsets, np.int32)[: len(taken) + 1]
