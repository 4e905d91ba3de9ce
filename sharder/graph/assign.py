"""Put the records of a block on their sides. Parallel.

Each rule says it of a record alone: of its number, group, time, or its number in its class.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from sharder.graph.inspect import Records
from sharder.records.lines import Positions
from sharder.sides.census import Census
from sharder.sides.groups import Groups, Hashes
from sharder.sides.keys import Keys
from sharder.sides.strata import Classes, Strata, assign_classes
from sharder.sides.times import Times, Values, read_moment
from shared.layout import Side
from shared.manifest import Split
from shared.splitmix import mix

# Where a record goes is the index of its side, or nowhere.
SIDES = tuple(Side)
REJECTED = len(SIDES)

Sides = npt.NDArray[np.uint8]


@dataclass(frozen=True)
class Block:
    """Records that go into the shards one after the other.

    Attributes:
        data: the bytes of whole records, UTF-8, plain CSV.
        starts, ends: (R,) where each record lies in `data`, line end included.
        sides: (R,) index into `SIDES`, or `REJECTED`.
        census: of the records on each side.
    """

    data: bytes | memoryview
    starts: Positions
    ends: Positions
    sides: Sides
    census: Census

    def __sizeof__(self) -> int:
        return len(self.data)  # a cluster places tasks by it


def assign(records: Records, before: Strata, *, split: Split) -> Block:
    """Say of each record on which side it is.

    Args:
        records: of a block.
        before: the classes of the blocks before it, if the rule looks at classes.
        split: the rule.
    """
    good = records.good
    sides = np.full(len(good), REJECTED, np.uint8)
    sides[good] = _sides(split, records.numbers[good], records.keys, before)
    census = Census.take(records.keys, sides[good])
    return Block(records.data, records.starts, records.ends, sides, census)


def find_strays(split: Split, side: Side, keys: Keys) -> npt.NDArray[np.int64]:
    """Return which records of a shard, (R,), have a group or a time that is of another side."""
    if isinstance(keys, Groups):
        others = _assign_hashes(keys.hashes, split) != SIDES.index(side)
        return np.flatnonzero(keys.grouped & others)
    if isinstance(keys, Times):
        return np.flatnonzero(_assign_times(keys.values, split) != SIDES.index(side))
    return np.empty(0, np.int64)


def _sides(split: Split, numbers: Hashes, keys: Keys, before: Strata) -> Sides:
    if isinstance(keys, Classes):
        return assign_classes(split, keys, before)
    if isinstance(keys, Times):
        return _assign_times(keys.values, split)
    hashes = mix(numbers ^ mix(np.array([split.seed], np.uint64)))
    if isinstance(keys, Groups):
        # Without a group, a record goes by its number.
        hashes = np.where(keys.grouped, keys.hashes, hashes)
    return _assign_hashes(hashes, split)


def _assign_hashes(hashes: Hashes, split: Split) -> Sides:
    # Validation first, so that a test side takes nothing from it.
    validate = np.uint64(int(split.validate_fraction * 2**64))
    test = np.uint64(int((split.validate_fraction + split.test_fraction) * 2**64))
    sides = (hashes < test).astype(np.uint8) * np.uint8(SIDES.index(Side.TEST))
    sides[hashes < validate] = SIDES.index(Side.VALIDATE)
    return sides


def _assign_times(values: Values, split: Split) -> Sides:
    sides = np.zeros(len(values), np.uint8)
    for side, cut in ((Side.VALIDATE, split.validate_from), (Side.TEST, split.test_from)):
        if cut is not None and (moment := read_moment(cut)) is not None:
            sides[values >= moment[1]] = SIDES.index(side)
    return sides
