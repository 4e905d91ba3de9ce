"""What is known of the shards that are written."""

from __future__ import annotations

from array import array
from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from sharder.graph.assign import SIDES
from sharder.graph.number import SideNumbering
from sharder.graph.write import Shard
from shared.manifest import Shards

if TYPE_CHECKING:
    Sizes = array[int]
else:
    Sizes = array  # which takes no type before Python 3.12


@dataclass
class ShardTable:
    """Sizes and checksums of all shards, 24 bytes each: there may be millions.

    Attributes:
        sizes: for each of `SIDES`, those of its files, in bytes.
        first: for each of `SIDES`, the number of the first that this run writes: where it appends
            to a dataset, those before it are there.
        checksums: for each of `SIDES`, those of its files, 16 bytes each, end to end.
    """

    sizes: list[Sizes] = field(default_factory=lambda: [array("q") for _ in SIDES])
    first: list[int] = field(default_factory=lambda: [0 for _ in SIDES])
    checksums: list[bytearray] = field(default_factory=lambda: [bytearray() for _ in SIDES])

    @property
    def bytes(self) -> int:
        """Size of all shards that this run has written."""
        return sum(sum(sizes[first:]) for sizes, first in zip(self.sizes, self.first, strict=True))

    @property
    def count(self) -> int:
        """Number of shards that this run has written."""
        return sum(len(sizes) - first for sizes, first in zip(self.sizes, self.first, strict=True))

    def add(self, shards: Iterable[Shard]) -> None:
        """Add shards in the order of their numbers."""
        for shard in shards:
            self.sizes[shard.side].append(shard.size)
            self.checksums[shard.side] += shard.xxh3_128

    def side(self, index: int, numbering: SideNumbering, rows_per_shard: int) -> Shards:
        """Return the shards of a side as the manifest has them, without a census."""
        checksums = self.checksums[index].hex()
        return Shards(
            records=numbering.shards * rows_per_shard + numbering.n_left_over,
            bytes=tuple(self.sizes[index]),
            xxh3_128=tuple(checksums[i : i + 32] for i in range(0, len(checksums), 32)),
        )
