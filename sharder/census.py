"""What each side got, told of the records themselves: the proof of a split, after the fact.

The split counts on its way (chain 3), and the manifest has it; `verify` counts the shards again.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field

import numpy as np
import numpy.typing as npt

from sharder.keys import Keys
from sharder.strata import Classes
from shared.layout import Side


@dataclass
class Census:
    """What is known of the keys of some records, by the side that they are on.

    Attributes:
        classes: for each `Side`, number of records of each class.
    """

    classes: list[dict[str, int]] = field(default_factory=lambda: [{} for _ in Side])

    @classmethod
    def take(cls, keys: Keys, sides: npt.NDArray[np.uint8]) -> Census:
        """Count records by their sides, (R,)."""
        census = cls()
        if isinstance(keys, Classes):
            cells = keys.codes * len(Side) + sides
            table = np.bincount(cells, minlength=len(keys.names) * len(Side))
            for counts, column in zip(census.classes, table.reshape(-1, len(Side)).T, strict=True):
                counts.update(_present(keys.names, column))
        return census

    def of_classes(self, index: int) -> dict[str, int] | None:
        """Return the number of records of each class on a side; None if none were counted."""
        # In order of their names, which does not depend on the blocks.
        return dict(sorted(self.classes[index].items())) if any(self.classes) else None

    def add(self, other: Census) -> None:
        """Add other records."""
        for counts, more in zip(self.classes, other.classes, strict=True):
            for name, number in more.items():
                counts[name] = counts.get(name, 0) + number


def _present(names: list[str], counts: npt.NDArray[np.int64]) -> Iterator[tuple[str, int]]:
    return ((names[code], int(counts[code])) for code in np.flatnonzero(counts))
