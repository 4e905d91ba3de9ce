"""The header of a source: the names of its columns, which all sources of a run must share."""

from __future__ import annotations

import csv
import shlex
from collections import Counter
from collections.abc import Iterable, Sequence

from sharder.records.encoding import Encoding
from sharder.records.plain import write_plain
from shared.dialect import PLAIN, Dialect
from shared.errors import SourceError
from shared.schema import MAX_COLUMNS

# How many names an error shows.
_SHOWN = 10


def parse_header(line: bytes) -> tuple[str, ...]:
    """Return the fields of a header line."""
    return tuple(PLAIN.read(line.decode())[0])


def decode_header(name: str, line: bytes, encoding: Encoding, dialect: Dialect) -> bytes:
    """Return a header as plain CSV in UTF-8, line end included.

    Args:
        name: of the source.
        line: the header in its text, without a byte order mark.
        encoding: of the source.
        dialect: of the source.

    Raises:
        SourceError: it is not in that encoding, or names a column twice.
    """
    where = f"{name}: header"
    raw = encoding.source_bytes(line)
    try:
        text = raw.decode(encoding.name)
        header = dialect.read(text)[0]
    except UnicodeDecodeError as error:
        raise SourceError(
            where,
            expected=encoding.label,
            found=f"byte 0x{raw[error.start]:02x} at position {error.start}",
            hint="name what it is written in, such as --encoding cp932, or try --encoding auto",
        ) from None
    except csv.Error as error:
        raise SourceError(where, expected="names of columns", found=str(error)) from None
    if len(header) > MAX_COLUMNS:
        raise SourceError(
            where,
            expected=f"at most {MAX_COLUMNS:,} columns",
            found=f"{len(header):,}",
            hint="is it a table with a header, and is --delimiter what is between its fields?",
        )
    if "\0" in text:
        raise SourceError(
            where,
            expected=f"text in {encoding.label}",
            found="a zero byte",
            hint="if it is UTF-16 without a byte order mark, say --encoding utf-16-le",
        )
    twice = [name for name, count in Counter(header).items() if count > 1]
    if twice:
        raise SourceError(
            where,
            expected="different names",
            found=", ".join(f"{name!r} {header.count(name)} times" for name in twice),
            hint="rename the columns in the first line of the file",
        )
    if dialect == PLAIN:
        return text.encode()
    return write_plain(header) + text[len(text.rstrip("\r\n")) :].encode()


def check_same(name: str, header: Sequence[str], first: str, expected: Sequence[str]) -> None:
    """Refuse a source whose columns are not those of the first one.

    Args:
        name: of the source.
        header: the names of its columns.
        first: name of the first source.
        expected: the names of its columns.

    Raises:
        SourceError: they differ; it says how.
    """
    if header == expected:
        return
    where = f"{name}: header"
    if set(header) == set(expected):
        pairs = enumerate(zip(expected, header, strict=True), 1)
        number, (wanted, found) = next(pair for pair in pairs if pair[1][0] != pair[1][1])
        columns = shlex.quote(",".join(expected))
        raise SourceError(
            where,
            expected=f"the order that {first} has, with {wanted!r} as column {number}",
            found=f"{found!r} there",
            hint=f"put them into that order: mlr --csv cut -o -f {columns} {name}",
        )
    lacking = _listing(column for column in expected if column not in header)
    more = _listing(column for column in header if column not in expected)
    raise SourceError(
        where,
        expected=f"the columns of {first}",
        found=" but ".join(part for part in (lacking and f"no {lacking}", more) if part),
        hint="one run takes sources with the same columns in the same order",
    )


def _listing(names: Iterable[str]) -> str:
    shown = [repr(name) for name in names]
    more = f" and {len(shown) - _SHOWN:,} more" if len(shown) > _SHOWN else ""
    return ", ".join(shown[:_SHOWN]) + more
