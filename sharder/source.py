"""The source files: their size, their header, and the pieces they are read in."""

from __future__ import annotations

import csv
import io
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path

from sharder.align import align, begin
from sharder.scan import line_ends, scan
from shared.errors import SourceError

_BOM = b"\xef\xbb\xbf"
_HEAD_BYTES = 1 << 16


@dataclass(frozen=True)
class SourceFile:
    """One CSV file.

    Attributes:
        path: as the user gave it.
        size: in bytes.
        header_line: the bytes of its first record, line end included, without a byte order mark.
        data_offset: where the records behind the header begin, bytes.
        data_lines: number of line ends before them.
        record_bytes: mean size of its first records, a hint of the others' size; 0 without any.
    """

    path: Path
    size: int
    header_line: bytes
    data_offset: int
    data_lines: int
    record_bytes: int

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


@dataclass(frozen=True)
class Piece:
    """A range of bytes of a source: one block of the graph.

    Attributes:
        source: the file.
        offset, size: the range, in bytes.
        first, last: whether it is the source's first or last piece.
    """

    source: SourceFile
    offset: int
    size: int
    first: bool
    last: bool

    def read(self) -> bytes:
        """Return the bytes; a last record without a line end gets one.

        Raises:
            SourceError: the file has become shorter.
        """
        with open_source(self.source.path) as file:
            try:
                file.seek(self.offset)
                data = file.read(self.size)
            except OSError as error:
                raise _unreadable(self.source.path, error) from None
        if len(data) != self.size:
            raise SourceError(
                self.source.path,
                expected=f"{self.source.size:,} bytes, as when the run began",
                found=f"the end after {self.offset + len(data):,}",
                hint="wait until the file is written, then run the same command again",
            )
        if self.last and not data.endswith((b"\n", b"\r")):
            data += self.source.line_end
        return data


def parse_header(line: bytes) -> tuple[str, ...]:
    """Return the fields of a header line."""
    return tuple(next(csv.reader(io.StringIO(line.decode(), newline=""))))


def open_source(path: Path) -> io.BufferedReader:
    """Open a source for reading, or say why that cannot be."""
    try:
        return path.open("rb")
    except OSError as error:
        raise _unreadable(path, error) from None


def open_sources(paths: Sequence[Path], *, max_record_bytes: int) -> tuple[SourceFile, ...]:
    """Look at each source's size and header, before anything is written.

    Raises:
        SourceError: missing, empty, no records, no usable header, or headers that differ.
    """
    sources = tuple(_open(path, max_record_bytes) for path in paths)
    first = sources[0]
    for other in sources[1:]:
        if other.header != first.header:
            raise SourceError(
                other.path,
                expected=f"the header of {first.path}: {', '.join(first.header)}",
                found=", ".join(other.header),
                hint="one run takes files with the same columns in the same order",
            )
    if not any(source.record_bytes for source in sources):
        raise SourceError(first.path, expected="records", found="a header and no record behind it")
    return sources


def _open(path: Path, max_record_bytes: int) -> SourceFile:
    with open_source(path) as file:
        if not path.is_file():
            raise SourceError(
                path,
                expected="a file",
                found="a stream or a device",
                hint="write it to a file first",
            )
        size = path.stat().st_size
        head, ends = _read_head(file, path, max_record_bytes)
    if not ends:
        raise SourceError(path, expected="a header and records", found="an empty file")
    (header_start, header_end), records = ends[0], ends[1:]
    # Blank lines in front of the first record are left with the header.
    offset = records[0][0] if records else len(head)
    source = SourceFile(
        path=path,
        size=size,
        header_line=head[header_start:header_end].removeprefix(_BOM),
        data_offset=offset,
        data_lines=len(line_ends(head[:offset], last=True)),
        record_bytes=(records[-1][1] - offset) // len(records) if records else 0,
    )
    _check_header(source)
    return source


def _read_head(
    file: io.BufferedReader, path: Path, max_record_bytes: int
) -> tuple[bytes, list[tuple[int, int]]]:
    """Return the head of a file, and where its first records that are no blank lines lie."""
    size = _HEAD_BYTES
    while True:
        file.seek(0)
        head = file.read(size)
        last = len(head) < size
        if last and head and not head.endswith((b"\n", b"\r")):
            head += b"\n"
        # The mark would hide a quote at the start of the first field.
        mark = len(_BOM) if head.startswith(_BOM) else 0
        aligned = align(
            scan(head[mark:], last=last),
            begin(offset=mark, records=-1),  # the header is not counted
            source=path,
            max_record_bytes=max_record_bytes,
        )
        ends = [mark, *(aligned.ends + mark).tolist()]
        spans = [span for span in pairwise(ends) if head[slice(*span)].strip(b"\r\n")]
        if len(spans) > 1 or last:
            return head, spans
        size *= 4


def _check_header(source: SourceFile) -> None:
    where = f"{source.path}: header"
    try:
        header = source.header
    except UnicodeDecodeError as error:
        raise SourceError(
            where,
            expected="UTF-8",
            found=f"byte 0x{source.header_line[error.start]:02x} at position {error.start}",
            hint="convert the file first: iconv -f CP932 -t UTF-8 (or whatever it is in)",
        ) from None
    except csv.Error as error:
        raise SourceError(where, expected="names of columns", found=str(error)) from None
    twice = [name for name, count in Counter(header).items() if count > 1]
    if twice:
        raise SourceError(
            where,
            expected="different names",
            found=", ".join(f"{name!r} {header.count(name)} times" for name in twice),
            hint="rename the columns in the first line of the file",
        )


def _unreadable(path: Path, error: OSError) -> SourceError:
    if isinstance(error, FileNotFoundError):
        return SourceError(path, expected="a CSV file", found="no such file")
    return SourceError(path, expected="a readable file", found=error.strerror or str(error))


def cut_pieces(sources: Sequence[SourceFile], block_bytes: int) -> Iterator[Piece]:
    """Yield the pieces of the sources, in order."""
    for source in sources:
        for offset in range(source.data_offset, source.size, block_bytes):
            end = min(offset + block_bytes, source.size)
            yield Piece(
                source,
                offset,
                end - offset,
                first=offset == source.data_offset,
                last=end == source.size,
            )
