"""Sides by time: what came before a moment is for training, what came since for validation.

How a moment is spelled says what the times of its column are: integers, numbers, or timestamps of
ISO 8601, with a zone or without.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from enum import StrEnum
from functools import cache
from typing import Any

import numpy as np
import numpy.typing as npt

from shared.manifest import Split
from shared.printable import shorten

Time = int | float
Values = npt.NDArray[np.int64] | npt.NDArray[np.float64]


class TimeKind(StrEnum):
    """What the times of a column are; all but numbers are counted as integers."""

    INTEGER = "integer"
    NUMBER = "number"
    TIMESTAMP = "timestamp without a zone"  # microseconds since 1970
    INSTANT = "timestamp with a zone"  # microseconds since 1970 in UTC


@dataclass(frozen=True)
class Times:
    """The times of some records.

    Attributes:
        values: (R,) int64 or float64.
    """

    values: Values


def read_times(fields: Any, kind: TimeKind) -> tuple[Values, npt.NDArray[np.bool_]]:
    """Read times.

    Args:
        fields: (R,) pyarrow.StringArray.
        kind: what they are. Of an integer's fraction, the integer below counts.

    Returns:
        The times, (R,), and which fields are one, (R,).
    """
    # Not at the top: a run that splits by number needs no Arrow, which takes 60 ms to import.
    import pyarrow as pa
    import pyarrow.compute as pc

    fields = pc.utf8_trim_whitespace(fields)
    fields = pc.if_else(pc.equal(fields, ""), pa.scalar(None, pa.string()), fields)
    readable_fields = fields
    if kind in (TimeKind.TIMESTAMP, TimeKind.INSTANT):
        # Nanoseconds, say: Arrow does not cut them off by itself.
        readable_fields = pc.replace_substring_regex(fields, r"(\.\d{6})\d+", r"\1")
    elif kind is TimeKind.INTEGER:
        is_whole = pc.match_substring_regex(fields, r"^[-+]?(0[xX])?[0-9a-fA-F]+$")
        readable_fields = pc.if_else(is_whole, fields, pa.scalar(None, pa.string()))
    found = _cast(readable_fields, _arrow_type(kind))
    if kind is TimeKind.INTEGER and found.null_count > fields.null_count:
        floors = pc.floor(_cast(fields, pa.float64()))
        fits = pc.less(pc.abs(floors), 2.0**62)
        floors = pc.if_else(fits, floors, pa.scalar(None, pa.float64())).cast(pa.int64())
        found = pc.coalesce(found, floors)
    readable = found.is_valid().to_numpy(zero_copy_only=False)
    if kind is TimeKind.NUMBER:
        values = found.fill_null(0.0).to_numpy(zero_copy_only=False)
        finite = np.isfinite(values)
        return np.where(finite, values, 0.0), readable & finite
    if kind is not TimeKind.INTEGER:
        found = found.cast(pa.int64())
    return found.fill_null(0).to_numpy(zero_copy_only=False), readable


def _arrow_type(kind: TimeKind) -> Any:
    import pyarrow as pa

    return {
        TimeKind.INTEGER: pa.int64(),
        TimeKind.NUMBER: pa.float64(),
        TimeKind.TIMESTAMP: pa.timestamp("us"),
        TimeKind.INSTANT: pa.timestamp("us", "UTC"),
    }[kind]


def _cast(fields: Any, type_: Any) -> Any:
    """Read fields as a type; what cannot be read becomes null. Arrow says only that one cannot."""
    import pyarrow as pa
    import pyarrow.compute as pc

    try:
        return pc.cast(fields, type_)
    except pa.ArrowInvalid:
        if len(fields) == 1:
            return pa.nulls(1, type_)
        half = len(fields) // 2
        return pa.concat_arrays([_cast(fields[:half], type_), _cast(fields[half:], type_)])


def find_kind(fields: Iterable[str]) -> TimeKind | None:
    """Return what the first of some fields that is any time is; None if none is."""
    import pyarrow as pa

    for field in fields:
        for kind in TimeKind:
            if field and read_times(pa.array([field]), kind)[1].all():
                # An integer is a number, too, and comes first; but a fraction is none.
                is_fraction = kind is TimeKind.INTEGER and not field.strip().lstrip("+-").isdigit()
                if not is_fraction:
                    return kind
    return None


def kind_of(split: Split) -> TimeKind | None:
    """Return what the times of a rule are; None as long as it has none."""
    cut = split.validate_from or split.test_from
    moment = None if cut is None else read_moment(cut)
    return None if moment is None else moment[0]


@cache
def read_moment(text: str) -> tuple[TimeKind, Time] | None:
    """Return what a moment is, and its value; None if it is none."""
    import pyarrow as pa

    fields = pa.array([text], pa.string())
    if (kind := find_kind([text])) is None:
        return None
    value: Time = read_times(fields, kind)[0][0].item()
    return kind, value


def spell_time(time: Time, kind: TimeKind) -> str:
    """Return a time as text, which `read_moment` reads."""
    if kind in (TimeKind.INTEGER, TimeKind.NUMBER):
        return repr(time)
    from shared.values import spell_timestamp

    text = spell_timestamp(time)
    # A date alone can have no zone.
    return text if kind is TimeKind.TIMESTAMP else f"{text}{'' if ':' in text else ' 00:00:00'}Z"


def describe_unreadable(column: str, field: str, kind: TimeKind) -> str:
    """Return why a record has no time."""
    if not field.strip():
        return f"no time in {column}"
    return f"{column} is {shorten(field)}, no {kind}"
