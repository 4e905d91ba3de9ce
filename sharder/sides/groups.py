"""Sides by group: all records that have the same value of a column are on the same side.

A hash of the value alone says on which, so it is the same side in every later drop, and whether a
record is where it belongs can be told without the others.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt
import xxhash

Hashes = npt.NDArray[np.uint64]


@dataclass(frozen=True)
class Groups:
    """The groups of some records.

    Attributes:
        hashes: (R,) of the group of each record.
        grouped: (R,) whether it has one: an empty field is none.
    """

    hashes: Hashes
    grouped: npt.NDArray[np.bool_]

    @classmethod
    def of(cls, fields: Any, seed: int) -> Groups:
        """Find the groups of some fields, a pyarrow.StringArray."""
        coded = fields.dictionary_encode()
        names, index = coded.dictionary.to_pylist(), coded.indices.to_numpy()
        hashes = [xxhash.xxh3_64_intdigest(name.encode(), seed) for name in names]
        return cls(
            np.array(hashes, np.uint64)[index], np.array(list(map(bool, names)), np.bool_)[index]
        )
