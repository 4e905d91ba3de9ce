"""What tables are written as: CSV, as Python's csv module would write it, or Parquet."""

from __future__ import annotations

import csv
import io
from collections.abc import Iterable
from pathlib import Path
from typing import BinaryIO

import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet

from trainer.config import Format

# What needs quotes in a CSV.
_SPECIAL = '[",\r\n]'


def guess_format(path: Path) -> Format:
    """Return the format that a file's name tells."""
    return "parquet" if path.suffix in (".parquet", ".pq") else "csv"


def write_tables(
    tables: Iterable[pa.Table], schema: pa.Schema, file: BinaryIO, format_: Format
) -> None:
    """Write tables of one schema, of texts and numbers without nulls, one after the other.

    Of a Parquet file each table becomes a row group.
    """
    if format_ == "parquet":
        with pyarrow.parquet.ParquetWriter(file, schema) as writer:
            for table in tables:
                writer.write_table(table, row_group_size=max(len(table), 1))
        return
    header = io.StringIO()
    csv.writer(header, lineterminator="\n").writerow(schema.names)
    file.write(header.getvalue().encode())
    for table in tables:
        for batch in table.to_batches():
            file.write(_csv_lines(batch))


def _csv_lines(batch: pa.RecordBatch) -> memoryview:
    """Return records as CSV; Arrow's own writer puts quotes around every text."""
    fields = [_quoted(column) if pa.types.is_string(column.type) else pc.cast(column, pa.string())
              for column in batch.columns]  # fmt: skip
    lines = pc.binary_join_element_wise(*fields, ",")
    ended = pc.binary_join_element_wise(lines, "", "\n")
    # Text lies end to end.
    offsets = memoryview(ended.buffers()[1]).cast("i")
    return memoryview(ended.buffers()[2])[offsets[0] : offsets[len(ended)]]


def _quoted(text: pa.StringArray) -> pa.StringArray:
    special = pc.match_substring_regex(text, _SPECIAL)
    if not pc.any(special).as_py():
        return text
    doubled = pc.replace_substring(text, '"', '""')
    return pc.if_else(special, pc.binary_join_element_wise('"', doubled, '"', ""), text)
