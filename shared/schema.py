"""The schema of a table: what the profile found in each column, over all records."""

from __future__ import annotations

import math
from enum import StrEnum
from typing import Annotated

import msgspec

Count = Annotated[int, msgspec.Meta(ge=0)]

# A profile of more would take more than a gigabyte of memory, and minutes for a block.
MAX_COLUMNS = 1 << 16

# Of the least and the greatest text no more is kept: a field may have megabytes.
MAX_EXTREME_CHARACTERS = 256


class ColumnType(StrEnum):
    """The narrowest type that every present value of a column has.

    A field is *missing* when it is empty, or, in columns of every type but text, when it is one
    of `shared.values.MISSING_MARKERS`.
    """

    EMPTY = "empty"  # every field is missing
    INTEGER = "integer"  # fits 64 bits; 0012 is text, for its zeros mean something
    NUMBER = "number"
    BOOLEAN = "boolean"  # true/false in the usual spellings; 0/1 is integer
    TIMESTAMP = "timestamp"  # ISO 8601 without a zone: 2025-04-01, 2025-04-01 12:30[:00[.000]]
    TEXT = "text"


class TopValue(msgspec.Struct, frozen=True, array_like=True):
    """A value, as the source spells it, and how many records have it."""

    value: str
    count: Count


class Column(msgspec.Struct, frozen=True, kw_only=True):
    """The profile of one column, over all good records of all sides.

    Attributes:
        name: as in the header; may be empty, never twice in one table.
        type: narrowest type of all present values.
        missing: number of records whose field is missing.
        missing_markers: spellings, besides the empty field, that stand for a missing value here.
        minimum, maximum: of the present values; text for timestamp and text columns, of which
            the first 256 characters count. None where no value is present. If texts come late in
            a column of numbers, they are exact if `distinct` is.
        mean, variance: of the present values of integer and number columns (the variance is that
            of the population, divided by n); None for other types.
        distinct: number of different present values.
        distinct_exact: whether `distinct` was counted; if not, it is an estimate with a standard
            error of 1.6 %; of a table with more than 512 columns, more (`shared.sketch`).
        top: the most frequent values, most frequent first, ties in the order of the text.
            Holds all of them where there are few (`top_is_complete`).
        top_exact: whether the counts in `top` were counted; if not, they are lower bounds.
    """

    name: str
    type: ColumnType
    missing: Count
    missing_markers: tuple[str, ...] = ()
    minimum: int | float | str | None = None
    maximum: int | float | str | None = None
    mean: float | None = None
    variance: float | None = None
    distinct: Count = 0
    distinct_exact: bool = True
    top: tuple[TopValue, ...] = ()
    top_exact: bool = True

    def fault(self, records: int) -> str:
        """Return what cannot be of a column of so many records, or an empty text."""
        present = records - self.missing
        numeric = self.type in (ColumnType.INTEGER, ColumnType.NUMBER)
        if present < self.distinct or bool(present) != bool(self.distinct):
            return f"{self.distinct} different values in {present} records"
        if not numeric and (self.mean, self.variance) != (None, None):
            return f"a mean or a variance of {self.type} values"
        if numeric and not all(_is_number(top.value) for top in self.top):
            return f"{self.type} values that are none"
        if self.variance is not None and self.variance < 0:
            return f"a variance of {self.variance}"
        if self.top_exact and not all(top.count for top in self.top):
            return "a value that no record has"
        return ""

    @property
    def top_is_complete(self) -> bool:
        """Whether `top` lists every value of the column."""
        return self.distinct_exact and self.top_exact and len(self.top) == self.distinct


def _is_number(text: str) -> bool:
    try:
        return not math.isnan(float(text))
    except ValueError:
        return False
