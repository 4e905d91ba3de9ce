"""What the fields of a CSV mean: missing, number, timestamp. The profile and the encoder agree.

Everything here works on Arrow arrays of text, one item a record (shape `(R,)`, R records).
"""

from __future__ import annotations

import io
from collections.abc import Sequence

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.csv

# Spellings of "no value" that pandas, R, SQL and Python write. They count as missing only where
# the rest of a column is numbers, timestamps or booleans: in a text column NA may be Namibia.
MISSING_MARKERS = (
    *("NA", "N/A", "n/a", "<NA>", "#N/A", "NaN", "nan", "-nan", "NULL", "Null", "null", "None", "\\N"),
    *("inf", "-inf", "+inf", "Inf", "-Inf", "+Inf", "Infinity", "-Infinity"),
)  # fmt: skip

# Spellings of true and false. 0 and 1 are integers.
TRUE_SPELLINGS = ("true", "True", "TRUE")
FALSE_SPELLINGS = ("false", "False", "FALSE")


def read_text(
    data: bytes | pa.Buffer,
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
