"""What one block says of the columns of a table: the part of the profile that can run anywhere."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc

from shared.counting import count_numbers, count_texts
from shared.hashing import Hashes
from shared.schema import MAX_EXTREME_CHARACTERS, ColumnType
from shared.sketch import Limits
from shared.tally import Counts, Values
from shared.values import Parsed, parse_column


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


def profile_block(header: Sequence[str], columns: Iterable[pa.StringArray]) -> BlockProfile:
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
    values, counts, hashes = count_texts(parsed.text, limits)
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
