"""Reads a raw CSV of any size, some thousand records at a time."""

from __future__ import annotations

import contextlib
import re
from collections.abc import Iterator
from pathlib import Path

import msgspec
import numpy as np
import pyarrow as pa

from shared.dialect import PLAIN, Dialect, spell_delimiter
from shared.errors import ContractError, SourceError, UnreadableError
from trainer.features.blocks import BlockTooSmallError, read_blocks
from trainer.features.read import (
    CONVERT,
    Types,
    convert_options,
    count_text_bytes,
    missing_columns,
    read_header,
    wrong_width,
)

# Small, since many are in memory, and large only for a file that needs it: 16 MiB, the longest
# record that `sharder split` takes.
BLOCK_BYTES = (1 << 20, 16 << 20)

# What may be meant where the columns are not found.
_DELIMITERS = ",;\t|"


def stream_pieces(
    source: Path,
    types: Types,
    *,
    records: int,
    text_bytes: int,
    skip: int = 0,
    dialect: Dialect = PLAIN,
) -> Iterator[pa.RecordBatch]:
    """Yield the records of a CSV file in pieces that depend on the records alone.

    Args:
        source: the file.
        types: the columns to read, and how.
        records: number of records in a piece; the last one may have fewer.
        text_bytes: a piece also ends with the record that brings its text to this size.
        skip: number of records to pass over, as many as some pieces had.
        dialect: of the file.

    Raises:
        SourceError: as `stream_records`.
    """
    held: list[pa.RecordBatch] = []
    room, room_bytes = records, text_bytes
    for batch in stream_records(source, types, skip=skip, dialect=dialect):
        sizes = count_text_bytes(batch)
        start = 0
        while start < len(batch):
            ends = np.cumsum(sizes[start : start + room])
            taken = min(int(np.searchsorted(ends, room_bytes)) + 1, len(ends))
            held.append(batch[start : start + taken])
            start, room, room_bytes = start + taken, room - taken, room_bytes - int(ends[taken - 1])
            if not room or room_bytes <= 0:
                yield pa.concat_batches(held)
                held, room, room_bytes = [], records, text_bytes
    if held:
        yield pa.concat_batches(held)


def stream_records(
    source: Path, types: Types, *, skip: int = 0, dialect: Dialect = PLAIN
) -> Iterator[pa.RecordBatch]:
    """Yield the records of a CSV file, in their order, in memory that does not grow with it.

    What is a record is what Python's csv module says, but that blank lines count for nothing.

    Args:
        source: the file; columns are found by their names.
        types: the columns to read, and how.
        skip: number of records to pass over.
        dialect: of the file.

    Raises:
        SourceError: there is no such file, a column is missing, or a record does not fit; the
            message tells its number.
    """
    header = check_header(source, types, dialect)
    done = skip
    for block_bytes in BLOCK_BYTES:
        left = done  # to be passed over
        try:
            with source.open("rb", buffering=0) as file:
                for batch in read_blocks(file, convert_options(types), block_bytes, dialect):
                    rest = batch[min(left, len(batch)) :]
                    left -= len(batch) - len(rest)
                    if len(rest):
                        yield rest
                        done += len(rest)
            return
        except BlockTooSmallError:
            continue
        except pa.ArrowInvalid as error:
            raise _explain(error, source, header) from None
        except OSError as error:
            raise UnreadableError(source, found=error.strerror or str(error)) from None
    raise SourceError(
        source,
        expected=f"records of at most {BLOCK_BYTES[-1] >> 20} MiB",
        found="a longer one",
        hint="is there a quote that is never closed?",
    )


def check_header(source: Path, types: Types, dialect: Dialect = PLAIN) -> tuple[str, ...]:
    """Return the names of the columns of a CSV file.

    Args:
        source: the file.
        types: the columns to read.
        dialect: of the file.

    Raises:
        SourceError: there is no such file, or it lacks one of the columns to read.
    """
    try:
        header = read_header(source, dialect)
        if not types.keys() <= set(header):
            error = missing_columns(list(header), types)
            error.hint = _remedy(source, header, types, dialect)
            raise error
    except ContractError as error:
        where = source if error.where == source else f"{source}, {error.where}"
        raise SourceError(
            where, expected=error.expected, found=error.found, hint=error.hint
        ) from None
    if twice := next((name for name in types if header.count(name) > 1), None):
        raise SourceError(source, expected=f"one column {twice!r}", found="more with this name")
    return header


def _remedy(source: Path, header: tuple[str, ...], types: Types, dialect: Dialect) -> str:
    """Return what to do about a header that lacks columns; empty if unknown."""
    for delimiter in _DELIMITERS:
        other = msgspec.structs.replace(dialect, delimiter=delimiter)
        with contextlib.suppress(ContractError):
            if types.keys() <= set(read_header(source, other)):
                return f"say {spell_delimiter(delimiter)}"
    if types.keys().isdisjoint(header):
        return "its first line must be the header"
    return ""


def _explain(error: pa.ArrowInvalid, source: Path, header: tuple[str, ...]) -> SourceError:
    message = str(error)
    if fault := wrong_width(error):
        return SourceError(f"{source}, {fault.where}", expected=fault.expected, found=fault.found)
    match = re.search(r"In CSV column #(\d+): Row #(\d+): .*?(?:'(.*)'|$)", message, re.DOTALL)
    if match is None:
        return SourceError(source, expected="a CSV", found=message)
    is_text = "UTF8" in message
    return SourceError(
        # Arrow counts the header as row 1.
        f"{source}, record {int(match[2]) - 1}, column {header[int(match[1])]!r}",
        expected="UTF-8 text" if is_text else "a number",
        found=repr(match[3]) if match[3] is not None else "other bytes",
        hint=CONVERT if is_text else "",
    )
