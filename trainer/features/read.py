"""Reads the columns of a CSV that a spec needs, with its types: nothing is guessed from data."""

from __future__ import annotations

import contextlib
import csv
import io
import re
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.csv

from shared.dialect import PLAIN, Dialect
from shared.errors import ContractError
from shared.printable import list_names, shorten
from shared.reading import open_plain
from shared.schema import MAX_COLUMNS, ColumnType
from shared.values import MISSING_FIELDS
from trainer.features.blocks import parse_options, read_blocks
from trainer.features.spec import FeatureSpec, Transform

Types = Mapping[str, pa.DataType]

# 16 MiB, as `sharder split` takes a header.
_MAX_HEADER_CHARACTERS = 16 << 20

# What Arrow says of a field that does not fit: the number of its column, and, where it can, itself.
_MISFIT = re.compile(r"In CSV column #(\d+): .*?conversion error[^']*(?:'(.*)')?", re.DOTALL)

_PARSE_OPTIONS = parse_options(PLAIN)

# What to do about a file in another encoding.
CONVERT = "if it is packed, unpack it; else convert it: iconv -f ENCODING -t UTF-8"

_WANTED = {pa.float64(): "a number", pa.int64(): "a whole number", pa.string(): "UTF-8 text"}


def column_types(spec: FeatureSpec, *, label: bool) -> dict[str, pa.DataType]:
    """Return the columns to read, and how; with or without those of the label and the weights."""
    if spec.transform is not None:
        return _transform_types(spec, spec.transform, label=label)
    types = {f.column: pa.string() for f in spec.features}
    types |= {f.column: pa.float64() for f in spec.numeric}
    if label:
        types[spec.label.column] = pa.float64() if spec.label.reading == "number" else pa.string()
        if spec.weight is not None:
            types[spec.weight] = pa.float64()
    return types


def _transform_types(
    spec: FeatureSpec, transform: Transform, *, label: bool
) -> dict[str, pa.DataType]:
    types = transform_types(transform)
    if not label:
        types.pop(spec.label.column, None)
    elif spec.weight is not None:
        types[spec.weight] = pa.float64()
    return types


def transform_types(transform: Transform) -> dict[str, pa.DataType]:
    """Return the columns that a function of one's own is given, and how to read each."""
    types = {}
    for name, kind in transform.columns.items():
        types[name] = pa.string()
        if kind.type in (ColumnType.INTEGER, ColumnType.NUMBER):
            whole = kind.type is ColumnType.INTEGER and not kind.missing
            types[name] = pa.int64() if whole else pa.float64()
    return types


def convert_options(types: Types) -> pyarrow.csv.ConvertOptions:
    """Return how Arrow is to read these columns, and no others."""
    return pyarrow.csv.ConvertOptions(
        column_types=types,
        include_columns=list(types),
        null_values=MISSING_FIELDS,
        strings_can_be_null=False,
    )


def parse_numbers(column: str, text: pa.StringArray, type_: pa.DataType) -> pa.Array:
    """Return numbers of a type, null where missing, as `convert_options` would have read them.

    Raises:
        ContractError: a field is none.
    """
    missing = pc.is_in(text, value_set=pa.array(MISSING_FIELDS))
    present = pc.if_else(missing, None, pc.utf8_trim_whitespace(text))
    try:
        return pc.cast(present, type_)
    except pa.ArrowInvalid as error:
        value = re.search(r"'(.*)'", str(error), re.DOTALL)
        raise misfit(column, _WANTED[type_], value[1] if value else str(error)) from None


def read_header(file: Path, dialect: Dialect = PLAIN) -> tuple[str, ...]:
    """Return the names of the columns of a CSV file.

    Args:
        file: its path.
        dialect: of the file.

    Raises:
        ContractError: the file is empty, is not a CSV in UTF-8, or cannot be read.
    """
    try:
        # A quote that is never closed does not read the whole file: csv limits a field to 128 KiB.
        # What follows the header is for others to decode.
        with io.TextIOWrapper(
            io.BufferedReader(open_plain(file)),
            encoding="utf-8-sig",
            errors="surrogateescape",
            newline="",
        ) as text:
            header = next(dialect.read_lines(_bounded_lines(text)), None)
        # UTF-16 may be UTF-8, too, with a NUL at every other place.
        if "\0" in "".join(header or ()).encode().decode():
            raise UnicodeError
    except OSError as error:
        raise ContractError(
            file, expected="a CSV file", found=error.strerror or str(error)
        ) from None
    except csv.Error as error:
        raise ContractError(file, expected="a CSV in UTF-8", found=str(error)) from None
    except UnicodeError:
        raise ContractError(
            file, expected="a CSV in UTF-8", found="other bytes in its header", hint=CONVERT
        ) from None
    if not header:
        raise ContractError(file, expected="a header", found="an empty file")
    if len(header) > MAX_COLUMNS:
        raise ContractError(
            file, expected=f"at most {MAX_COLUMNS:,} columns", found=f"{len(header):,}"
        )
    return tuple(header)


def _bounded_lines(text: io.TextIOBase) -> Iterator[str]:
    """Yield lines; where one has no end, memory would not do for it."""
    while line := text.readline(_MAX_HEADER_CHARACTERS):
        if len(line) == _MAX_HEADER_CHARACTERS:
            raise csv.Error(f"a line of {len(line):,} characters or more")
        yield line


def read_records(
    data: bytes, types: Types, options: pyarrow.csv.ConvertOptions | None = None
) -> pa.RecordBatch:
    """Read records, of which the first is the header.

    Args:
        data: a whole CSV.
        types: the columns to read, and how.
        options: what `convert_options` makes of these types, for who reads many.

    Raises:
        ContractError: a column is missing, a record has another number of fields than the header,
            or a field does not fit its column. The place is told within `data` only: who calls
            knows the file.
    """
    with _explained(types, lambda: _names(_read(data, convert_options({})))):
        return _read(data, options or convert_options(types))


def stream_records(
    file: io.RawIOBase,
    types: Types,
    options: pyarrow.csv.ConvertOptions,
    *,
    block_bytes: int,
    names: Callable[[], Sequence[str]],
) -> Iterator[pa.RecordBatch]:
    """Yield the records of a file, part by part, as `read_records` reads all of them at once.

    Args:
        file: as `trainer.features.blocks.read_blocks` takes it, and so `block_bytes`.
        types: the columns to read, and how.
        options: what `convert_options` makes of these types.
        block_bytes: size of a block.
        names: reads the header, for messages.

    Raises:
        BlockTooSmallError: a record is longer than a block.
        ContractError: as `read_records`.
        OSError: the file cannot be read.
    """
    with _explained(types, names):
        yield from read_blocks(file, options, block_bytes)


def count_text_bytes(batch: pa.RecordBatch) -> npt.NDArray[np.int64]:
    """Return how large the text of each record is, shape (B,)."""
    sizes = np.zeros(len(batch), np.int64)
    for column in batch.columns:
        if pa.types.is_string(column.type):
            sizes += pc.binary_length(column).to_numpy(zero_copy_only=False)
    return sizes


def missing_columns(found: Sequence[str], types: Types) -> ContractError:
    """Return the error for a header that lacks columns."""
    missing = [repr(name) for name in types if name not in found]
    return ContractError(
        "header",
        expected=f"the column{'s' if len(missing) > 1 else ''} {list_names(missing)}",
        found=f"only {list_names(list(map(repr, found)))}",
    )


def misfit(column: str, wanted: str, value: object) -> ContractError:
    """Return the error for a field that does not fit its column."""
    return ContractError(
        f"column {column!r}",
        expected=f"{wanted}, as in every record that was profiled",
        found=shorten(value),
    )


def wrong_width(error: pa.ArrowInvalid) -> ContractError | None:
    """Return the error for a record with another number of fields, if that is what Arrow found."""
    match = re.search(r"(?:Row #(\d+): )?Expected (\d+) columns, got (\d+)", str(error))
    if match is None:
        return None
    # Arrow counts the header as row 1.
    where = f"record {int(match[1]) - 1}" if match[1] else "a record"
    return ContractError(
        where, expected=f"{match[2]} fields, as in the header", found=f"{match[3]}"
    )


def _read(data: bytes, options: pyarrow.csv.ConvertOptions) -> pa.RecordBatch:
    # `read_csv` takes 60 µs more: it makes a thread and a table.
    reader = pyarrow.csv.open_csv(
        pa.BufferReader(data),
        # One block, and so one batch, in one thread: parallelism is across shards.
        read_options=pyarrow.csv.ReadOptions(use_threads=False, block_size=len(data) + 1),
        parse_options=_PARSE_OPTIONS,
        convert_options=options,
    )
    try:
        return reader.read_next_batch()
    except StopIteration:
        return pa.RecordBatch.from_pylist([], reader.schema)


def _names(records: pa.RecordBatch) -> list[str]:
    try:
        names: list[str] = records.schema.names
    except UnicodeDecodeError as error:
        raise ContractError("header", expected="UTF-8 text", found=str(error)) from None
    return names


@contextlib.contextmanager
def _explained(types: Types, names: Callable[[], Sequence[str]]) -> Iterator[None]:
    """Turn what Arrow says of a CSV into an error of ours; `names` reads its header."""
    try:
        try:
            yield
        except KeyError:
            raise missing_columns(names(), types) from None
    except pa.ArrowInvalid as error:
        if fault := wrong_width(error):
            raise fault from None
        match = _MISFIT.search(str(error))
        if match is None:
            raise ContractError("records", expected="a CSV", found=str(error)) from None
        name = names()[int(match[1])]
        raise misfit(name, _WANTED[types[name]], match[2] or str(error)) from None
