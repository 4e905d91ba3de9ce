"""Write the shards that a block fills. Parallel."""

from __future__ import annotations

import os
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import BinaryIO, TypeAlias

import numpy as np
import xxhash

from sharder.disk.room import SPARE_BLOCKS, check_room
from sharder.graph.assign import SIDES, Block
from sharder.graph.inspect import cut
from sharder.graph.number import Numbering
from shared.errors import ConfigError
from shared.layout import shard_path
from shared.manifest import MAX_SHARDS
from shared.place import Place, put_all

# A shard of the usual size in one system call.
_BUFFER_BYTES = 1 << 18

# A shard to be written: side, index into `SIDES`, number, and the parts of its file.
_Filled: TypeAlias = tuple[int, int, Sequence[bytes | memoryview]]


@dataclass(frozen=True)
class Shard:
    """A shard as it was written.

    Attributes:
        side: index into `SIDES`.
        size: of its file, in bytes.
        xxh3_128: checksum of its file, 16 bytes.
    """

    side: int
    size: int
    xxh3_128: bytes


@dataclass(frozen=True, kw_only=True)
class Shelf:
    """Where the shards go, and what they look like.

    Attributes:
        dataset: place to write to.
        header_line: goes to the top of each shard.
        rows_per_shard: number of records of each.
        wanted: side, index into `SIDES`, and number of the shards to write; None for all.
        wants_all_records: whether all records are to be read, even if these shards are written.
    """

    dataset: Place
    header_line: bytes
    rows_per_shard: int
    wanted: frozenset[tuple[int, int]] | None = None
    wants_all_records: bool = True

    def wants(self, side: int, number: int) -> bool:
        """Tell whether a shard shall be written."""
        return self.wanted is None or (side, number) in self.wanted

    def is_full(self, numbering: Numbering) -> bool:
        """Tell whether all shards that are wanted are written, when a run has come so far."""
        return self.wanted is not None and all(
            number < numbering.sides[side].shards for side, number in self.wanted
        )


def write(block: Block, before: Numbering, *, shelf: Shelf) -> list[Shard]:
    """Write each shard that this block fills.

    Args:
        block: the records.
        before: numbering of the block before it, with the records left over from there.
        shelf: where to write them.

    Returns:
        The shards of each side in the order of their numbers.

    Raises:
        TargetError: the disk is about to be full.
    """
    # How large a stream is, nobody knew before: stop in time, and leave others some room.
    check_room(
        shelf.dataset, bytes_=SPARE_BLOCKS * len(block.data), files=SPARE_BLOCKS * len(SIDES)
    )
    rows_per_shard = shelf.rows_per_shard
    filled: list[_Filled] = []
    for index, side in enumerate(before.sides):
        records = np.flatnonzero(block.sides == index)
        starts, ends = block.starts[records], block.ends[records]
        first, n_shards = -side.n_left_over, side.shards
        while first + rows_per_shard <= len(records):
            if shelf.wants(index, n_shards):
                rows = slice(max(first, 0), first + rows_per_shard)
                parts: list[bytes | memoryview] = [shelf.header_line]
                if first < 0:
                    parts += side.left_over
                parts += cut(block.data, starts[rows], ends[rows])
                filled.append((index, n_shards, parts))
            first, n_shards = first + rows_per_shard, n_shards + 1
    return _write_all(shelf.dataset, filled)


def write_left_over(numbering: Numbering, shelf: Shelf) -> list[Shard]:
    """Write the last shard of each side, which has fewer records than the others."""
    filled: list[_Filled] = [
        (index, side.shards, [shelf.header_line, *side.left_over])
        for index, side in enumerate(numbering.sides)
        if side.n_left_over and shelf.wants(index, side.shards)
    ]
    return _write_all(shelf.dataset, filled)


def too_many_shards(number: int) -> ConfigError:
    """Return the error for more shards than a manifest can list."""
    return ConfigError(
        "--rows-per-shard",
        expected=f"at most {MAX_SHARDS:,} shards a side",
        found=f"{number:,} or more",
        hint="raise it",
    )


def open_again(path: Path) -> BinaryIO:
    """Open a file to write what is perhaps there already.

    A cluster runs a task again if it has lost a worker, which may not know and be writing still.
    Both write the same bytes at the same place, so the file is never emptied first.
    """

    def opener(name: str, _flags: int) -> int:
        return os.open(name, os.O_WRONLY | os.O_CREAT | os.O_NOFOLLOW, 0o666)

    return open(path, "wb", buffering=_BUFFER_BYTES, opener=opener)


def _write_all(dataset: Place, filled: Sequence[_Filled]) -> list[Shard]:
    """Write shards; those of a block at once to a store, which takes long to answer."""
    if filled and (number := max(number for _, number, _ in filled)) >= MAX_SHARDS:
        raise too_many_shards(number + 1)
    if isinstance(dataset, Path):
        for side, number, parts in filled:
            _write_shard(shard_path(dataset, SIDES[side], number), parts)
    else:
        put_all({shard_path(dataset, SIDES[side], n): parts for side, n, parts in filled})
    return [_describe(side, parts) for side, _, parts in filled]


def _write_shard(path: Path, parts: Sequence[bytes | memoryview]) -> None:
    # Not joined first: with long records a shard may be far larger than a block.
    with open_again(path) as file:
        file.writelines(parts)
        file.truncate()


def _describe(side: int, parts: Sequence[bytes | memoryview]) -> Shard:
    digest = xxhash.xxh3_128()
    for part in parts:
        digest.update(part)
    return Shard(side, sum(map(len, parts)), digest.digest())
