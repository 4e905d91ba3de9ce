"""Chain 2: block after block, the numbers of the shards, and the records left over.

Like the alignment it must go in order, and costs microseconds a block.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from sharder.graph.assign import SIDES, Block
from sharder.graph.inspect import cut


@dataclass(frozen=True)
class SideNumbering:
    """Where one side is after a block.

    Attributes:
        shards: number of shards filled so far.
        left_over: records behind the last full shard, the bytes of each block.
        n_left_over: number of these records, fewer than a shard has.
    """

    shards: int = 0
    left_over: tuple[bytes, ...] = ()
    n_left_over: int = 0


@dataclass(frozen=True)
class Numbering:
    """Where all sides are after a block; item *i* is that of `SIDES[i]`."""

    sides: tuple[SideNumbering, ...] = (SideNumbering(),) * len(SIDES)


def number(block: Block, before: Numbering, *, rows_per_shard: int) -> Numbering:
    """Count a block's records onto the shards of each side."""
    return Numbering(
        tuple(
            _number_side(block, index, side, rows_per_shard)
            for index, side in enumerate(before.sides)
        )
    )


def _number_side(
    block: Block, side: int, before: SideNumbering, rows_per_shard: int
) -> SideNumbering:
    records = np.flatnonzero(block.sides == side)
    filled, left = divmod(before.n_left_over + len(records), rows_per_shard)
    if filled:
        records = records[len(records) - left :]
    own = b"".join(cut(block.data, block.starts[records], block.ends[records]))
    left_over = () if filled else before.left_over
    return SideNumbering(before.shards + filled, (*left_over, own) if own else left_over, left)
