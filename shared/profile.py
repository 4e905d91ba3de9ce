"""The profile of a table: types and statistics of its columns, over all records.

In two parts: `profile_block` looks at the records of one block and can run anywhere; `Profile`
adds the blocks up. What it gives does not depend on where the blocks were cut, but for the last
digits of a mean or variance (they are rounded to 12) and for values too many to count.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc

from shared.distinct import (
    Distinct,
    Hashes,
    Limits,
    Value,
    count_numbers,
    count_texts,
    spell,
)
from shared.schema import MAX_EXTREME_CHARACTERS, Column, ColumnType, TopValue
from shared.tally import Counts, Values
from shared.values import (
    FALSE_SPELLINGS,
    MISSING_MARKERS,
    TRUE_SPELLINGS,
    Parsed,
    parse_column,
    spell_timestamp,
)

# Columns with up to this many values have all of them in the manifest: a vocabulary.
MAX_VOCABULARY = 1000
# Columns with more have this many.
TOP_VALUES = 20

_BOOLEANS = frozenset(TRUE_SPELLINGS + FALSE_SPELLINGS)


@dataclass(frozen=True, kw_only=True)
class BlockColumn:
    """What one block says of one column.

    Attributes:
        type: narrowest type of the block's present values; never boolean, which is text here.
        rows: number of records.
        empty: number of empty fields.
        markers: missing-value markers and their counts; none in a text column.
        count, mean, m2: number of present values, their mean, and the sum of the squares of their
            deviations from it (integer and number only).
        minimum, maximum: of the present values.
        values, counts: (V,) all different values and how many records have each, or only the
            frequent ones if there are too many to count.
        hashes: None if `values` holds all; else the smallest hashes of the different values.
        respelled: whether the values are numbers from which their texts cannot be told.
    """

    type: ColumnType
    rows: int
    empty: int
    markers: dict[str, int]
    respelled: bool
    count: int = 0
    mean: np.longdouble = field(default_factory=lambda: np.longdouble(0))
    m2: np.longdouble = field(default_factory=lambda: np.longdouble(0))
    minimum: Any = None
    maximum: Any = None
    values: Values = field(default_factory=lambda: np.empty(0, np.int64))
    counts: Counts = field(default_factory=lambda: np.empty(0, np.int64))
    hashes: Hashes | None = None


BlockProfile = tuple[BlockColumn, ...]


def profile_block(header: Sequence[str], columns: Sequence[pa.StringArray]) -> BlockProfile:
    """Look at the fields of one block of records.

    Args:
        header: names of the columns.
        columns: an array of text for each, as `shared.values.read_text` gives them.
    """
    limits = Limits.of_table(len(header))
    return tuple(_profile_column(parse_column(column), limits) for column in columns)


def _profile_column(parsed: Parsed, limits: Limits) -> BlockColumn:
    if parsed.type is ColumnType.EMPTY:
        return BlockColumn(
            type=parsed.type,
            rows=parsed.rows,
            empty=parsed.empty,
            markers=parsed.markers,
            respelled=parsed.respelled,
        )
    numbers = parsed.numbers
    if numbers is None:
        return _profile_text(parsed, limits)
    values, counts, hashes = count_numbers(numbers, limits)
    minimum, maximum = numbers.min(), numbers.max()
    mean = m2 = np.longdouble(0)
    if parsed.type is not ColumnType.TIMESTAMP:
        mean, m2 = _moments(numbers, minimum)
    return BlockColumn(
        type=parsed.type,
        rows=parsed.rows,
        empty=parsed.empty,
        markers=parsed.markers,
        respelled=parsed.respelled,
        count=len(numbers),
        mean=mean,
        m2=max(m2, np.longdouble(0)),
        minimum=minimum.item(),
        maximum=maximum.item(),
        values=values,
        counts=counts,
        hashes=hashes,
    )


def _moments(numbers: npt.NDArray[Any], minimum: Any) -> tuple[np.longdouble, np.longdouble]:
    """Return the mean, and the sum of the squares of the deviations from it."""
    pivot = np.longdouble(0)
    if numbers.dtype == np.int64:
        # From the least one, in 64 bits without a sign: large ids differ in their last digits only.
        pivot = np.longdouble(minimum)
        numbers = (numbers.view(np.uint64) - minimum.view(np.uint64)).astype(np.float64)
    with np.errstate(over="ignore", invalid="ignore"):
        rough = numbers.mean()
        deviations = numbers - rough
        # Two passes, and what the rough mean leaves (Chan, Golub, LeVeque 1983).
        rest = np.longdouble(deviations.mean())
        m2 = np.longdouble(np.square(deviations).sum()) - rest * rest * len(numbers)
    return pivot + np.longdouble(rough) + rest, m2


def _profile_text(parsed: Parsed, limits: Limits) -> BlockColumn:
    values, counts, hashes = count_texts(parsed.text.drop_null(), limits)
    extremes = pc.min_max(parsed.text if hashes is not None else values).as_py()
    return BlockColumn(
        type=ColumnType.TEXT,
        rows=parsed.rows,
        empty=parsed.empty,
        markers={},
        respelled=False,
        count=parsed.rows - parsed.empty,
        minimum=extremes["min"][:MAX_EXTREME_CHARACTERS],
        maximum=extremes["max"][:MAX_EXTREME_CHARACTERS],
        values=values,
        counts=counts,
        hashes=hashes,
    )


@dataclass
class _ColumnProfile:
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

    column_profiles: list[_ColumnProfile]

    @classmethod
    def begin(cls, header: Sequence[str]) -> Profile:
        """Begin with no record of a table with these column names."""
        limits = Limits.of_table(len(header))
        return cls([_ColumnProfile(name, Distinct.begin(limits)) for name in header])

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
