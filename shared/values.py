"""What the fields of a CSV mean: missing, number, timestamp. The profile and the encoder agree.

Everything here works on Arrow arrays of text, one item a record (shape `(R,)`, R records).
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.csv

from shared.schema import ColumnType

# Spellings of "no value" that pandas, R, SQL and Python write. They count as missing only where
# the rest of a column is numbers, timestamps or booleans: in a text column NA may be Namibia.
MISSING_MARKERS = (
    *("NA", "N/A", "n/a", "<NA>", "#N/A", "NaN", "nan", "-nan"),
    *("NULL", "Null", "null", "None", "\\N"),
    *("inf", "-inf", "+inf", "Inf", "-Inf", "+Inf", "Infinity", "-Infinity"),
)  # fmt: skip

# The fields that are missing in such a column.
MISSING_FIELDS = ("", *MISSING_MARKERS)

# Spellings of true and false. 0 and 1 are integers.
TRUE_SPELLINGS = ("true", "True", "TRUE")
FALSE_SPELLINGS = ("false", "False", "FALSE")

_BOM = b"\xef\xbb\xbf"

# What Arrow is asked to read, in this order: the first type that takes all fields is theirs.
_ARROW_TYPES = {
    ColumnType.INTEGER: pa.int64(),
    ColumnType.NUMBER: pa.float64(),
    ColumnType.TIMESTAMP: pa.timestamp("us"),
}

# Fields to try first.
_FEW = 16


def read_text(
    data: bytes | memoryview,
    header: Sequence[str],
    *,
    columns: Sequence[str] | None = None,
    skip_header: bool = False,
) -> list[pa.StringArray]:
    """Read the fields of records as text, exactly as they are spelled, without their quotes.

    Args:
        data: whole records, UTF-8, each with as many fields as the header.
        header: names of the columns.
        columns: names of those to read; all by default.
        skip_header: whether the first record is the header.

    Returns:
        One array of shape (R,) for each column, in the order of `columns`.

    Raises:
        pyarrow.ArrowInvalid: a record has another number of fields.
    """
    if bytes(data[:3]) == _BOM:
        # Arrow takes it for a byte order mark and drops it, wherever in a file the block began.
        data = b"".join((_BOM, data))
    # Read as bytes, then looked at as text: Arrow's check of UTF-8 costs a third of the parse, and
    # the callers have made it, or make it, on the whole block at once.
    table = pa.csv.read_csv(
        pa.BufferReader(data),
        # One block, in this thread: parallelism is across blocks and shards.
        read_options=pa.csv.ReadOptions(
            use_threads=False,
            block_size=len(data) + 1,
            column_names=list(header),
            skip_rows_after_names=int(skip_header),
        ),
        parse_options=pa.csv.ParseOptions(newlines_in_values=True),
        convert_options=pa.csv.ConvertOptions(
            column_types=dict.fromkeys(header, pa.binary()),
            include_columns=list(header if columns is None else columns),
            strings_can_be_null=False,
        ),
    )
    return [_as_text(column) for column in table.columns]


def _as_text(column: pa.ChunkedArray) -> pa.StringArray:
    if column.num_chunks == 0:
        return pa.array([], pa.string())
    if column.num_chunks > 1:
        column = pa.chunked_array([pa.concat_arrays(column.chunks)])
    return column.chunk(0).view(pa.string())


@dataclass(frozen=True, kw_only=True)
class Parsed:
    """The fields of one column in one block, R records.

    Attributes:
        type: narrowest type of the present values; never boolean, which is text here.
        rows: R.
        empty: number of empty fields.
        markers: missing-value markers and their counts; none in a text column.
        text: (R,) with null for the empty fields.
        numbers: (N,) the N present values, in order, of an integer (int64), number (float64), or
            timestamp column (int64, microseconds since 1970). None for other types.
        respelled: whether the texts cannot be told from the numbers: 1.50, -0, or 5 behind a blank.
    """

    type: ColumnType
    rows: int
    empty: int
    markers: dict[str, int]
    text: pa.StringArray
    numbers: npt.NDArray[Any] | None = None
    respelled: bool = False


def parse_column(text: pa.StringArray) -> Parsed:
    """Find the narrowest type of a column's fields, and read them as such.

    Args:
        text: (R,) the fields as they are spelled.
    """
    offsets = np.frombuffer(text.buffers()[1], np.int32)[text.offset : text.offset + len(text) + 1]
    filled = offsets[1:] != offsets[:-1]
    empty = len(text) - int(np.count_nonzero(filled))
    if empty:
        text = pa.StringArray.from_buffers(
            len(text),
            pa.py_buffer(offsets),
            text.buffers()[2],
            pa.py_buffer(np.packbits(filled, bitorder="little")),
        )
    found = _Found(ColumnType.EMPTY, {})
    if empty < len(text):
        found = _parse_present(text)
    return Parsed(
        type=found.type,
        rows=len(text),
        empty=empty,
        markers=found.markers,
        text=text,
        numbers=found.numbers,
        respelled=found.respelled,
    )


def _is_word(field: str | None) -> bool:
    """Tell whether a field is clearly neither a number nor a timestamp nor missing."""
    if field is None or not (field := field.strip()) or field in MISSING_MARKERS:
        return False
    # Arrow reads infinities and NaN in any case.
    return field[0] not in "+-.0123456789" and field[:3].lower() not in ("inf", "nan")


class _Found(NamedTuple):
    """What fields were found to be; see `Parsed`."""

    type: ColumnType
    markers: dict[str, int]
    numbers: npt.NDArray[Any] | None = None
    respelled: bool = False


def _parse_present(text: pa.StringArray) -> _Found:
    """Look at fields of which at least one is not null."""
    # Where one of the first few is a word, all are text.
    if any(map(_is_word, text.slice(0, _FEW).to_pylist())):
        return _Found(ColumnType.TEXT, {})
    if (found := _parse_numbers(text)) is not None:
        return found
    # Where the first few are text whatever the others are, so are all.
    if len(text) > _FEW and _parse_present(text.slice(0, _FEW)).type is ColumnType.TEXT:
        return _Found(ColumnType.TEXT, {})
    # Now the costlier look: are there only missing-value markers or blanks in the way?
    marked = pc.is_in(text, value_set=pa.array(MISSING_MARKERS))
    unmarked = pc.if_else(marked, pa.scalar(None, pa.string()), text)
    rest = pc.utf8_trim_whitespace(unmarked)
    markers = _count(text.filter(marked))
    if rest.null_count == len(rest):
        return _Found(ColumnType.EMPTY, markers)
    if (found := _parse_numbers(rest)) is not None and found.type is not ColumnType.TEXT:
        # Arrow takes other spellings of NaN, too, and those with blanks around them.
        markers = dict(Counter(markers) + Counter(found.markers))
        respelled = found.respelled or not rest.equals(unmarked)
        return found._replace(markers=markers, respelled=respelled)
    return _Found(ColumnType.TEXT, {})


def _parse_numbers(text: pa.StringArray) -> _Found | None:
    """Read fields as the narrowest type that takes them all; None if none does.

    They are text if one of them is like 0012: it would not be the same again.
    """
    for type_, arrow_type in _ARROW_TYPES.items():
        try:
            # A few first: Arrow makes an error of each field that it cannot read, 250 ns apiece.
            pc.cast(text.slice(0, _FEW), arrow_type)
            values = pc.cast(text, arrow_type)
        except pa.ArrowInvalid:
            continue
        respelled = type_ is not ColumnType.INTEGER
        if type_ is not ColumnType.TIMESTAMP:
            leading, negative = _look_at_zeros(text)
            if leading:
                return _Found(ColumnType.TEXT, {})
            respelled |= negative
        if type_ is ColumnType.TIMESTAMP:
            values = values.cast(pa.int64())
        numbers = values.drop_null().to_numpy(zero_copy_only=False)
        if type_ is ColumnType.NUMBER and not (finite := np.isfinite(numbers)).all():
            present = text.drop_null()
            markers = _count(present.filter(pa.array(~finite)))
            if not finite.any():
                return _Found(ColumnType.EMPTY, markers)
            # What is left may all be integers.
            rest = _parse_numbers(present.filter(pa.array(finite)))
            if rest is None or rest.type is ColumnType.TEXT:
                return rest
            return rest._replace(markers=markers)
        return _Found(type_, {}, numbers, respelled)
    return None


def _look_at_zeros(text: pa.StringArray) -> tuple[bool, bool]:
    """Tell whether any field is like 0012, -07.5 or 0x1f, no plain number, and whether one is -0.

    The second only if no field is like the first.
    """
    offsets = np.frombuffer(text.buffers()[1], np.int32)[text.offset : text.offset + len(text) + 1]
    data = np.frombuffer(text.buffers()[2], np.uint8)
    starts, lengths = offsets[:-1], np.diff(offsets)
    # Clipped: what is behind the last field is beyond the data. Lengths say what counts.
    first = data.take(starts, mode="clip")
    zero, minus = first == ord("0"), first == ord("-")
    has_minus = bool(minus.any())
    if not has_minus and not zero.any():
        return False, False
    second = data.take(starts + 1, mode="clip")
    leading = zero & _goes_on(second) & (lengths > 1)
    negative = False
    if has_minus:
        minus &= second == ord("0")
        leading |= minus & _goes_on(data.take(starts + 2, mode="clip")) & (lengths > 2)
        negative = bool((minus & (lengths == 2)).any())
    return bool(leading.any()), negative


def _goes_on(behind_zero: npt.NDArray[np.uint8]) -> npt.NDArray[np.bool_]:
    """Tell which bytes make an id, or another base, of a zero before them."""
    goes_on: npt.NDArray[np.bool_] = (behind_zero >= ord("0")) & (behind_zero <= ord("9"))
    goes_on |= behind_zero | 32 == ord("x")
    return goes_on


def _count(text: pa.StringArray) -> dict[str, int]:
    return {item["values"]: item["counts"] for item in text.value_counts().to_pylist()}


def spell_timestamp(microseconds: float | str) -> str:
    """Return microseconds since 1970 as ISO 8601, in its shortest form."""
    text = str(np.datetime64(int(microseconds), "us")).replace("T", " ")
    text = text.rstrip("0").rstrip(".") if "." in text else text
    return text.removesuffix(" 00:00:00")
