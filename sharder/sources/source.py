"""The sources: what they are packed and written in, their header, and where their records begin."""

from __future__ import annotations

import os
from collections.abc import Sequence
from dataclasses import dataclass, replace
from itertools import pairwise

from sharder.records.align import align, begin
from sharder.records.cleaning import Cleaner
from sharder.records.encoding import UTF8, Encoding, resolve
from sharder.records.header import check_same, decode_header, parse_header
from sharder.records.lines import line_ends
from sharder.records.plain import write_plain
from sharder.records.scan import scan
from sharder.sources.compression import Compression, find_compression
from sharder.sources.detection import detect
from sharder.sources.drop import open_drop
from sharder.sources.origin import Origin
from sharder.sources.sniffing import detect_dialect
from sharder.sources.stream import Stream
from shared.dialect import Dialect
from shared.errors import SourceError

_MARK = "\ufeff".encode()
_HEAD_BYTES = 1 << 16


@dataclass(frozen=True, kw_only=True)
class Source:
    """One CSV.

    Its text is where its records are found: its bytes, unpacked; in UTF-8 only if records cannot
    be found before they are decoded.

    Attributes:
        origin: where its bytes come from.
        compression: what it is packed in, if it is.
        encoding: what it is written in.
        dialect: of its records.
        header_line: the names of its columns, or of what cleaning makes of them, as plain CSV in
            UTF-8, line end included.
        data_offset: where the records behind the header begin in the text, bytes.
        data_lines: number of line ends before them.
        record_bytes: mean size of its first records, a hint of the others' size; 0 without any.
        has_header: whether its first line has the names of its columns.
        ends: checksum of its ends as they are packed; None of a stream.
        cleaner: what its records go through, if they do.
    """

    origin: Origin
    compression: Compression | None
    encoding: Encoding
    dialect: Dialect
    header_line: bytes
    data_offset: int
    data_lines: int
    record_bytes: int
    has_header: bool
    ends: str | None
    cleaner: Cleaner | None = None

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
        """Size of the records in the shards; None where it is known only when all were read."""
        if not self.has_ranges or self.origin.size is None or self.encoding.name != UTF8.name:
            return None
        return max(self.origin.size - self.data_offset, 0)

    @property
    def columns(self) -> tuple[str, ...]:
        """The names of its own columns."""
        return self.header if self.cleaner is None else self.cleaner.columns

    @property
    def header(self) -> tuple[str, ...]:
        """The names of the columns of the shards."""
        return parse_header(self.header_line)

    @property
    def line_end(self) -> bytes:
        """The line end behind the header, which completes a last record that has none."""
        if self.dialect.escape is not None:
            # Nothing is behind an escape character at the very end: not the CR of a CR LF either.
            return b"\n"
        for end in (b"\r\n", b"\n", b"\r"):
            if self.header_line.endswith(end):
                return end
        return b"\n"

    def open(self) -> Stream:
        """Open it at its start, for the last time."""
        return Stream(self.origin, self.compression, self.encoding, line_end=self.line_end)


def open_sources(
    names: Sequence[str | os.PathLike[str]],
    *,
    encoding: Encoding | None,
    dialect: Dialect | None,
    columns: Sequence[str],
    max_record_bytes: int,
) -> tuple[Source, ...]:
    """Look at each source's size and header, before anything is written.

    Args:
        names: as `open_drop` takes them.
        encoding: of all sources; if None, it is detected for each.
        dialect: of all sources; if None, it is detected for each.
        columns: names of the columns, if the sources have no header.
        max_record_bytes: bound of a record, and so of a header.

    Raises:
        SourceError: missing, empty, no records, no usable header, or headers that differ.
    """
    origins = open_drop([os.fspath(name) for name in names])
    sources = tuple(
        open_source(origin, encoding, dialect, columns, max_record_bytes) for origin in origins
    )
    for other in sources[1:]:
        check_same(other.name, other.header, sources[0].name, sources[0].header)
    if not any(source.record_bytes for source in sources):
        raise SourceError(
            sources[0].name, expected="records", found="a header and no record behind it"
        )
    return sources


def open_source(
    origin: Origin,
    encoding: Encoding | None,
    dialect: Dialect | None,
    columns: Sequence[str],
    max_record_bytes: int,
) -> Source:
    """Look at one source; see `open_sources`."""
    with Stream(origin, None, UTF8, again=True) as packed:
        compression = find_compression(origin.name, packed.read(_HEAD_BYTES).data)
    with Stream(origin, compression, UTF8, again=True) as unpacked:
        first_bytes = unpacked.read(_HEAD_BYTES).data
    encoding = resolve(encoding, first_bytes) if encoding else detect(origin, compression)
    dialect = dialect or detect_dialect(origin, compression, encoding, columns)
    encoding = replace(encoding, structure=dialect.structure)
    head, spans = _read_head(origin, compression, encoding, dialect, max_record_bytes)
    if not spans:
        raise SourceError(origin.name, expected="a header and records", found="an empty file")
    first_line = head[slice(*spans[0])]
    records = spans if columns else spans[1:]
    # Blank lines in front of the first record are left with the header.
    offset = records[0][0] if records else len(head)
    if columns:
        line_end = first_line[len(first_line.rstrip(b"\r\n")) :]
        header_line = write_plain(columns) + line_end
    else:
        header_line = decode_header(origin.name, first_line, encoding, dialect)
    return Source(
        origin=origin,
        compression=compression,
        encoding=encoding,
        dialect=dialect,
        header_line=header_line,
        data_offset=offset,
        data_lines=len(line_ends(head[:offset], last=True)),
        record_bytes=(records[-1][1] - offset) // len(records) if records else 0,
        has_header=not columns,
        # A stream is known by them only once it was read, which a short one is by now.
        ends=origin.checksum_ends() if origin.has_ranges else None,
    )


def _read_head(
    origin: Origin,
    compression: Compression | None,
    encoding: Encoding,
    dialect: Dialect,
    max_record_bytes: int,
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
                scan(head[mark:], last=chunk.last, offset=mark, dialect=dialect),
                begin(records=-1),  # the header is not counted
                source=origin.name,
                encoding=encoding,
                max_record_bytes=max_record_bytes,
            )
            ends = [mark, *(aligned.ends + mark).tolist()]
            spans = [span for span in pairwise(ends) if head[slice(*span)].strip(b"\r\n")]
            if len(spans) > 1 or chunk.last:
                return head, spans
