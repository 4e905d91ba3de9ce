"""Which side a record goes to: a hash says it, so it depends on nothing that came before."""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt
import xxhash

from shared.layout import Side
from shared.manifest import Split
from shared.splitmix import mix

# Where a record goes is the index of its side, or nowhere.
SIDES = (Side.TRAIN, Side.VALIDATE, Side.TEST)
REJECTED = len(SIDES)

Hashes = npt.NDArray[np.uint64]
Sides = npt.NDArray[np.uint8]


def assign_sides(split: Split, numbers: Hashes, groups: Any) -> Sides:
    """Return the side of each record, index into `SIDES`, (R,).

    Args:
        split: the rule.
        numbers: (R,) number of each record in the sources, from 0.
        groups: (R,) pyarrow.StringArray, values of the column that the records are grouped by; None
            without one. A record with an empty one belongs to no group, and goes by its number.
    """
    hashes = mix(numbers ^ mix(np.array([split.seed], np.uint64)))
    if groups is not None:
        of_groups, has_group = _hash_groups(groups, split.seed)
        hashes[has_group] = of_groups[has_group]
    return _assign(hashes, split)


def find_strays(split: Split, side: Side, groups: Any) -> npt.NDArray[np.int64]:
    """Return which records of a shard, (R,), belong to a group that is of another side."""
    hashes, has_group = _hash_groups(groups, split.seed)
    return np.flatnonzero(has_group & (_assign(hashes, split) != SIDES.index(side)))


def _hash_groups(groups: Any, seed: int) -> tuple[Hashes, npt.NDArray[np.bool_]]:
    """Return the hash of the group of each record, and whether it has one; (R,) each."""
    coded = groups.dictionary_encode()
    names, index = coded.dictionary.to_pylist(), coded.indices.to_numpy()
    hashes = [xxhash.xxh3_64_intdigest(name.encode(), seed) for name in names]
    return np.array(hashes, np.uint64)[index], np.array(list(map(bool, names)), np.bool_)[index]


def _assign(hashes: Hashes, split: Split) -> Sides:
    # Validation first, so that a test side takes nothing from it.
    validate = np.uint64(int(split.validate_fraction * 2**64))
    test = np.uint64(int((split.validate_fraction + split.test_fraction) * 2**64))
    sides = (hashes < test).astype(np.uint8) * np.uint8(SIDES.index(Side.TEST))
    sides[hashes < validate] = SIDES.index(Side.VALIDATE)
    return sides
