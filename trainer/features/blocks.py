"""Reads a CSV of any size block by block, in the memory that some blocks take."""

from __future__ import annotations

import io
from collections.abc import Iterator

import pyarrow as pa
import pyarrow.csv

from shared.dialect import PLAIN, Dialect

# What Arrow says of a record that does not fit into a block, and of a header.
_TOO_SMALL = ("straddling object", "Empty CSV file or block")


class BlockTooSmallError(Exception):
    """A record, or the header, is longer than a block: larger ones may do."""


def parse_options(dialect: Dialect) -> pyarrow.csv.ParseOptions:
    """Return how Arrow is to find the fields of a dialect."""
    return pyarrow.csv.ParseOptions(
        delimiter=dialect.delimiter,
        quote_char=dialect.quote or False,
        escape_char=dialect.escape or False,
        newlines_in_values=True,
    )


def read_blocks(
    file: io.RawIOBase,
    options: pyarrow.csv.ConvertOptions,
    block_bytes: int,
    dialect: Dialect = PLAIN,
) -> Iterator[pa.RecordBatch]:
    """Yield the records of a CSV file, in their order, batch by batch; at least one batch.

    Args:
        file: read to its end, in another thread, while the records are yielded.
        options: the columns to read, and how.
        block_bytes: size of a block. A record must not reach beyond the block after the one that it
            begins in. Arrow reads up to 32 blocks ahead, and parses one at a time.
        dialect: of the file.

    Raises:
        BlockTooSmallError: a record reaches further.
        pyarrow.ArrowInvalid: a record does not fit; its number counts from the file's beginning.
        KeyError: there is no such column.
        OSError: the file cannot be read.
    """
    try:
        reader = pyarrow.csv.open_csv(
            pa.PythonFile(_WholeLineEnds(file), "r"),
            # In one thread: parallelism is across files.
            read_options=pyarrow.csv.ReadOptions(use_threads=False, block_size=block_bytes),
            parse_options=parse_options(dialect),
            convert_options=options,
        )
        is_empty = True
        for records in reader:
            is_empty = False
            yield records
        if is_empty:
            yield pa.RecordBatch.from_pylist([], reader.schema)
    except pa.ArrowInvalid as error:
        if any(message in str(error) for message in _TOO_SMALL):
            raise BlockTooSmallError from None
        raise


class _WholeLineEnds(io.RawIOBase):
    """A file whose pieces never end in CR.

    Arrow takes a LF at the beginning of a piece for the rest of a CRLF, and drops it, also where
    both are inside quotes.
    """

    def __init__(self, file: io.RawIOBase) -> None:
        self._file = file
        self._held = b""

    def readable(self) -> bool:
        return True

    def read(self, size: int = -1) -> bytes:
        data = self._held + (self._file.read(max(size - len(self._held), 1)) or b"")
        self._held = b""
        # A piece of nothing would mean the end of the file.
        if data.endswith(b"\r") and len(data) > 1:
            self._held, data = b"\r", data[:-1]
        return data
