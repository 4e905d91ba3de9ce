"""The profile of a table: types and statistics of its columns, over all records.

In two parts: `shared.block_profile` looks at the records of one block; `Profile` here
adds the blocks up. What it gives does not depend on where the blocks were cut, but for the last
digits of a mean or variance (they are rounded to 12) and for values too many to count.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import pyarrow as pa

from shared.block_profile import BlockColumn, BlockProfile
from shared.distinct import Distinct, Value, spell
from shared.schema import Column, ColumnType, TopValue
from shared.sketch import Limits
from shared.values import (
    FALSE_SPELLINGS,
    MISSING_MARKERS,
    TRUE_SPELLINGS,
    spell_timestamp,
)

# Columns with up to this many values have all of them in the manifest: a vocabulary.
MAX_VOCABULARY = 1000
# Columns with more have this many.
TOP_VALUES = 20

_BOOLEANS = frozenset(TRUE_SPELLINGS + FALSE_SPELLINGS)


@dataclass
class ColumnProfile:
    """The profile of one column, block after block.

    Attributes:
        respelled: whether values were counted as numbers from which their texts cannot be told:
            1.50 as 1.5. It counts if the column turns out to be text.
    """

    name: str
    distinct: Distinct
    type: ColumnType = ColumnType.EMPTY
    empty: int = 0
    markers: dict[str, int] = field(default_factory=dict)
    count: int = 0
    mean: np.longdouble = field(default_factory=lambda: np.longdouble(0))
    m2: np.longdouble = field(default_factory=lambda: np.longdouble(0))
    minimum: Any = None
    maximum: Any = None
    respelled: bool = False

    def add(self, block: BlockColumn) -> None:
        """Add the records of one block."""
        self.empty += block.empty
        self.respelled |= block.respelled
        for marker, times in block.markers.items():
            self.markers[marker] = self.markers.get(marker, 0) + times
        if not block.count:
            return
        self._widen(block.type)
        if self.type in (ColumnType.INTEGER, ColumnType.NUMBER):
            # Chan, Golub, LeVeque: Algorithms for computing the sample variance, 1983.
            total = self.count + block.count
            delta = block.mean - self.mean
            self.mean += delta * block.count / total
            self.m2 += block.m2 + delta * delta * self.count * block.count / total
        self.count += block.count

        values, extremes = block.values, [block.minimum, block.maximum]
        if self.type is ColumnType.TEXT is not block.type:
            values = pa.array([_speller(block.type)(value) for value in values.tolist()])
            extremes = sorted(_speller(block.type)(value) for value in extremes)
        self.minimum = min(self.minimum, extremes[0]) if self.minimum is not None else extremes[0]
        self.maximum = max(self.maximum, extremes[1]) if self.maximum is not None else extremes[1]
        self.distinct.add(values, block.counts, block.hashes)

    def _widen(self, found: ColumnType) -> None:
        """Take the narrowest type that holds what was there and what is found."""
        before = self.type
        if before is ColumnType.EMPTY:
            self.type = found
        elif found is not before:
            both_numbers = {before, found} == {ColumnType.INTEGER, ColumnType.NUMBER}
            self.type = ColumnType.NUMBER if both_numbers else ColumnType.TEXT
        if self.type is ColumnType.TEXT and before not in (ColumnType.TEXT, ColumnType.EMPTY):
            speller = _speller(before)
            self.minimum, self.maximum = sorted(map(speller, (self.minimum, self.maximum)))
            self.distinct.respell(speller)

    def finish(self) -> Column:
        """Return what is told of the column; it cannot be added to any more."""
        if self.type is ColumnType.TIMESTAMP and not self.markers.keys() <= set(MISSING_MARKERS):
            # Such as 1e999, which is one among numbers only.
            self._widen(ColumnType.TEXT)
        if self.type is ColumnType.NUMBER:
            self.distinct.as_floats()
        if self.type is ColumnType.TEXT and self.markers:
            # In a text column they are values like others.
            texts = sorted(self.markers)
            counts = np.array([self.markers[text] for text in texts])
            self.distinct.add(pa.array(texts), counts, None)
            self.count += sum(self.markers.values())
            self.minimum, self.maximum = min(self.minimum, texts[0]), max(self.maximum, texts[-1])
            self.markers.clear()
        markers = dict(self.markers)
        type_, minimum, maximum = self.type, self.minimum, self.maximum
        # An estimate may come out above what is possible.
        distinct = min(self.distinct.count(), self.count)
        top = self.distinct.top(MAX_VOCABULARY)
        exact = self.distinct.exact and not (type_ is ColumnType.TEXT and self.respelled)
        if type_ is ColumnType.TEXT and self.distinct.exact:
            # Not of the least and the greatest number of a block: as texts, 10 comes before 5.
            minimum, maximum = self.distinct.extremes()
            found = {value for value, _ in top}
            if found & _BOOLEANS and found <= _BOOLEANS.union(MISSING_MARKERS):
                type_ = ColumnType.BOOLEAN
                markers |= {value: count for value, count in top if value not in _BOOLEANS}
                top = [(value, count) for value, count in top if value in _BOOLEANS]
                distinct = len(top)
                minimum, maximum = min(top)[0], max(top)[0]
        if distinct > MAX_VOCABULARY or not self.distinct.exact:
            top = top[:TOP_VALUES]
        if type_ is ColumnType.TIMESTAMP:
            minimum, maximum = (_speller(type_)(value) for value in (minimum, maximum))
            top = [(_speller(type_)(int(value)), count) for value, count in top]
        if type_ is ColumnType.NUMBER:
            # Integers among them, and -0.0, depend on where the blocks were cut.
            minimum, maximum = float(minimum) + 0.0, float(maximum) + 0.0
        numeric = type_ in (ColumnType.INTEGER, ColumnType.NUMBER)
        variance = self.m2 / max(self.count, 1)
        deviation = np.sqrt(variance)
        return Column(
            name=self.name,
            type=type_,
            missing=self.empty + sum(markers.values()),
            missing_markers=tuple(sorted(markers)),
            minimum=minimum,
            maximum=maximum,
            mean=_round(self.mean, max(abs(self.mean), deviation)) if numeric else None,
            variance=_round(variance, variance) if numeric else None,
            distinct=distinct,
            distinct_exact=exact,
            top=tuple(TopValue(value, count) for value, count in top),
            top_exact=exact,
        )


@dataclass
class Profile:
    """The profile of a table, block after block."""

    column_profiles: list[ColumnProfile]

    @classmethod
    def begin(cls, header: Sequence[str]) -> Profile:
        """Begin with no record of a table with these column names."""
        limits = Limits.of_table(len(header))
        return cls([ColumnProfile(name, Distinct.begin(limits)) for name in header])

    def add(self, block: BlockProfile) -> None:
        """Add the records of one block."""
        for column, part in zip(self.column_profiles, block, strict=True):
            column.add(part)

    def columns(self) -> tuple[Column, ...]:
        """Return the profile of each column, over all records added."""
        return tuple(column.finish() for column in self.column_profiles)


def _speller(type_: ColumnType) -> Callable[[Value], str]:
    return spell_timestamp if type_ is ColumnType.TIMESTAMP else spell


def _round(value: np.longdouble, scale: np.longdouble) -> float:
    """Round to 12 digits of `scale`: the last of the 16 would depend on the order of the additions.

    The scale of a mean is no less than the deviation: one of 1e-17 is what is left of 0.
    """
    # Rounded as well, or a scale of nearly 1 would have now twelve decimals and now eleven.
    size = float(f"{float(scale):.12g}")
    if not size or not math.isfinite(size):
        return float(value)
    return round(float(value), 11 - math.floor(math.log10(size))) + 0.0
