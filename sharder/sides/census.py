"""What each side got, told of the records themselves: the proof of a split, after the fact.

The split counts on its way (chain 3), and the manifest has it; `verify` counts the shards again.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import numpy.typing as npt

from sharder.sides.groups import Groups
from sharder.sides.keys import Keys
from sharder.sides.strata import Classes
from sharder.sides.times import Time, Times, kind_of, spell_time
from shared.layout import Side
from shared.manifest import Split
from shared.sketch import MAX_SKETCH_SIZE, Sketch


@dataclass
class Census:
    """What is known of the keys of some records, by the side that they are on.

    Attributes:
        classes: for each `Side`, number of records of each class.
        times: for each `Side`, the first time and the last.
        groups: for each `Side`, the hashes of its groups.
    """

    classes: list[dict[str, int]] = field(default_factory=lambda: [{} for _ in Side])
    times: list[tuple[Time, Time] | None] = field(default_factory=lambda: [None for _ in Side])
    groups: list[Sketch] | None = None

    @classmethod
    def take(cls, keys: Keys, sides: npt.NDArray[np.uint8]) -> Census:
        """Count records by their sides, (R,)."""
        census = cls()
        if isinstance(keys, Classes):
            cells = keys.codes * len(Side) + sides
            table = np.bincount(cells, minlength=len(keys.names) * len(Side))
            for counts, column in zip(census.classes, table.reshape(-1, len(Side)).T, strict=True):
                counts.update(_present(keys.names, column))
        if isinstance(keys, Groups):
            census.groups = [Sketch(MAX_SKETCH_SIZE) for _ in Side]
            for index, sketch in enumerate(census.groups):
                sketch.add(np.unique(keys.hashes[keys.grouped & (sides == index)]))
        if isinstance(keys, Times):
            for index in np.unique(sides).tolist():
                values = keys.values[sides == index]
                census.times[index] = values.min().item(), values.max().item()
        return census

    def facts(self, side: Side, split: Split) -> dict[str, Any]:
        """Return what the manifest says of a side, by the names of its attributes in `Shards`."""
        groups, shared = self._groups_of(side)
        return {
            "classes": self._classes_of(side),
            "times": self._times_of(side, split),
            "groups": groups,
            "shared_groups": shared,
        }

    def _groups_of(self, side: Side) -> tuple[int | None, int | None]:
        if self.groups is None:
            return None, None
        own = self.groups[tuple(Side).index(side)]
        shared = [own.overlap(other) for other in self.groups if other is not own]
        return own.estimate(), max(shared)

    def _classes_of(self, side: Side) -> dict[str, int] | None:
        """Return the number of records of each class on a side; None if the split has none."""
        # In order of their names, which does not depend on the blocks.
        own = self.classes[tuple(Side).index(side)]
        return dict(sorted(own.items())) if any(self.classes) else None

    def _times_of(self, side: Side, split: Split) -> tuple[str, str] | None:
        """Return the first and the last time of a side as text; None if there are none."""
        times, kind = self.times[tuple(Side).index(side)], kind_of(split)
        if times is None or kind is None:
            return None
        return spell_time(times[0], kind), spell_time(times[1], kind)

    def add(self, other: Census) -> None:
        """Add other records."""
        for counts, more in zip(self.classes, other.classes, strict=True):
            for name, number in more.items():
                counts[name] = counts.get(name, 0) + number
        if self.groups is None:
            self.groups = other.groups
        elif other.groups is not None:
            for sketch, more_hashes in zip(self.groups, other.groups, strict=True):
                for part in more_hashes.parts:
                    sketch.add(part)
        for index, found in enumerate(other.times):
            own = self.times[index]
            if own is None or found is None:
                self.times[index] = own or found
            else:
                self.times[index] = min(own[0], found[0]), max(own[1], found[1])


def _present(names: list[str], counts: npt.NDArray[np.int64]) -> Iterator[tuple[str, int]]:
    return ((names[code], int(counts[code])) for code in np.flatnonzero(counts))
