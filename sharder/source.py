"""The sources: what they are packed and written in, their header, and where their records begin."""

from __future__ import annotations

import csv
import io
import os
import shlex
from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from itertools import pairwise

from sharder.align import align, begin
from sharder.compression import Compression, find_compression
from sharder.detection import detect
from sharder.drop import open_drop
from sharder.encoding import UTF8, Encoding, resolve
from sharder.origin import Origin
from sharder.scan import line_ends, scan
from sharder.stream import Stream
from shared.errors import SourceError

_MARK = "\ufeff".encode()
_HEAD_BYTES = 1 << 16

# How many column names an error shows.
_SHOWN = 10


@dataclass(frozen=True, kw_only=True)
class Source:
    """One CSV.

    Its text is where its records are found: its bytes, unpacked; in UTF-8 only if records cannot
    be found before they are decoded.

    Attributes:
        origin: where its bytes come from.
        compression: what it is packed in, if it is.
        encoding: what it is written in.
        header_line: its first record in UTF-8, line end included, without a byte order mark.
        data_offset: where the records behind the header begin in the text, bytes.
        data_lines: number of line ends before them.
        record_bytes: mean size of its first records, a hint of the others' size; 0 without any.
    """

    origin: Origin
    compression: Compression | None
    encoding: Encoding
    header_line: bytes
    data_offset: int
    data_lines: int
    record_bytes: int

    @property
    def name(self) -> str:
        """As the user gave it."""
        return self.origin.name

    @property
    def has_ranges(self) -> bool:
        """Whether it can be read in pieces, in parallel; if not, it is a stream."""
        return self.origin.has_ranges and self.compression is None and self.encoding.is_searchable

    @property
    def data_bytes(self) -> int | None:
        """Size of the records in UTF-8; None where it is known only when all were read."""
        if not self.has_ranges or self.origin.size is None or self.encoding != UTF8:
            return None
        return max(self.origin.size - self.data_offset, 0)

    @property
    def header(self) -> tuple[str, ...]:
        """The names of the columns."""
        return parse_header(self.header_line)

    @property
    def line_end(self) -> bytes:
        """The line end behind the header, which completes a last record that has none."""
        for end in (b"\r\n", b"\n", b"\r"):
            if self.header_line.endswith(end):
                return end
        return b"\n"

    def open(self) -> Stream:
        """Open it at its start, for the last time."""
        return Stream(self.origin, self.compression, self.encoding, line_end=self.line_end)


def parse_header(line: bytes) -> tuple[str, ...]:
    """Return the fields of a header line."""
    return tuple(next(csv.reader(io.StringIO(line.decode(), newline=""))))


def open_sources(
    names: Sequence[str | os.PathLike[str]], encoding: Encoding | None, *, max_record_bytes: int
) -> tuple[Source, ...]:
    """Look at each source's size and header, before anything is written.

    Args:
        names: as `open_drop` takes them.
        encoding: of all sources; if None, it is detected for each.
        max_record_bytes: bound of a record, and so of a header.

    Raises:
        SourceError: missing, empty, no records, no usable header, or headers that differ.
    """
    origins = open_drop([os.fspath(name) for name in names])
    sources = tuple(_open(origin, encoding, max_record_bytes) for origin in origins)
    for other in sources[1:]:
        _check_same_header(sources[0], other)
    if not any(source.record_bytes for source in sources):
        raise SourceError(
            sources[0].name, expected="records", found="a header and no record behind it"
        )
    return sources


def _open(origin: Origin, encoding: Encoding | None, max_record_bytes: int) -> Source:
    with Stream(origin, None, UTF8, again=True) as packed:
        compression = find_compression(origin.name, packed.read(_HEAD_BYTES).data)
    with Stream(origin, compression, UTF8, again=True) as unpacked:
        first_bytes = unpacked.read(_HEAD_BYTES).data
    encoding = resolve(encoding, first_bytes) if encoding else detect(origin, compression)
    head, spans = _read_head(origin, compression, encoding, max_record_bytes)
    if not spans:
        raise SourceError(origin.name, expected="a header and records", found="an empty file")
    (header_start, header_end), records = spans[0], spans[1:]
    # Blank lines in front of the first record are left with the header.
    offset = records[0][0] if records else len(head)
    header_line = _decode_header(origin.name, head[header_start:header_end], encoding)
    return Source(
        origin=origin,
        compression=compression,
        encoding=encoding,
        header_line=header_line,
        data_offset=offset,
        data_lines=len(line_ends(head[:offset], last=True)),
        record_bytes=(records[-1][1] - offset) // len(records) if records else 0,
    )


def _read_head(
    origin: Origin, compression: Compression | None, encoding: Encoding, max_record_bytes: int
) -> tuple[bytes, list[tuple[int, int]]]:
    """Return the head of a text, and where its first records that are no blank lines lie."""
    head = b""
    with Stream(origin, compression, encoding, again=True) as stream:
        while True:
            chunk = stream.read(max(3 * len(head), _HEAD_BYTES))
            head += chunk.data
            # The mark would hide a quote at the start of the first field.
            mark = len(_MARK) if head.startswith(_MARK) else 0
            aligned = align(
                scan(head[mark:], last=chunk.last, offset=mark),
                begin(records=-1),  # the header is not counted
                source=origin.name,
                encoding=encoding,
                max_record_bytes=max_record_bytes,
            )
            ends = [mark, *(aligned.ends + mark).tolist()]
            spans = [span for span in pairwise(ends) if head[slice(*span)].strip(b"\r\n")]
            if len(spans) > 1 or chunk.last:
                return head, spans


def _decode_header(name: str, line: bytes, encoding: Encoding) -> bytes:
    """Return a header in UTF-8, once it is found to be one."""
    where = f"{name}: header"
    raw = encoding.source_bytes(line)
    try:
        line = raw.decode(encoding.name).encode()
        header = parse_header(line)
    except UnicodeDecodeError as error:
        raise SourceError(
            where,
            expected=encoding.label,
            found=f"byte 0x{raw[error.start]:02x} at position {error.start}",
            hint="name what it is written in, such as --encoding cp932, or try --encoding auto",
        ) from None
    except csv.Error as error:
        raise SourceError(where, expected="names of columns", found=str(error)) from None
    if b"\0" in line:
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
    return line


def _check_same_header(first: Source, other: Source) -> None:
    if other.header == first.header:
        return
    if set(other.header) == set(first.header):
        pairs = enumerate(zip(first.header, other.header, strict=True), 1)
        number, (expected, found) = next(pair for pair in pairs if pair[1][0] != pair[1][1])
        columns = shlex.quote(",".join(first.header))
        raise SourceError(
            f"{other.name}: header",
            expected=f"the order that {first.name} has, with {expected!r} as column {number}",
            found=f"{found!r} there",
            hint=f"put them into that order: mlr --csv cut -o -f {columns} {other.name}",
        )
    lacking = _listing(name for name in first.header if name not in other.header)
    more = _listing(name for name in other.header if name not in first.header)
    raise SourceError(
        f"{other.name}: header",
        expected=f"the columns of {first.name}",
        found=" but ".join(part for part in (lacking and f"no {lacking}", more) if part),
        hint="one run takes sources with the same columns in the same order",
    )


def _listing(names: Iterable[str]) -> str:
    shown = [repr(name) for name in names]
    more = f" and {len(shown) - _SHOWN:,} more" if len(shown) > _SHOWN else ""
    return ", ".join(shown[:_SHOWN]) + more
