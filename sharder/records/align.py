"""Chain 1: piece after piece, the quote state at its start, and the record cut off at its end.

The only part of the scan that must go in order. It costs microseconds a piece.
"""

from __future__ import annotations

from dataclasses import dataclass, field, replace

import numpy as np

from sharder.records.encoding import Encoding
from sharder.records.lines import CR, LF, Positions, line_ends
from sharder.records.scan import Scan, scan_from
from sharder.records.structure import State
from shared.errors import SourceError


@dataclass(frozen=True, kw_only=True)
class Alignment:
    """Where one piece's records end, and what the next piece must know.

    Attributes:
        ends: (E,) record ends in the piece, blank lines too.
        trusted: whether counting is right about the records that end in the piece.
        tail_trusted: the same for the tail.
        tail: the bytes behind the last record end, of earlier pieces too.
        state: behind the tail.
        records: number of records that ended so far, blank lines not counted.
        first_record: how many of them are of earlier sources.
        lines: number of line ends before the tail in its source, those inside quotes counted too.
    """

    ends: Positions
    trusted: bool = True
    tail_trusted: bool = True
    tail: bytes = b""
    state: State = field(default_factory=State)
    records: int = 0
    first_record: int = 0
    lines: int = 0


def begin(*, lines: int = 0, records: int = 0) -> Alignment:
    """Return the state before a piece that begins with a record."""
    return Alignment(
        ends=np.empty(0, np.int32),
        lines=lines,
        records=records,
        first_record=max(records, 0),
    )


def align(
    scan: Scan, before: Alignment, *, source: str, encoding: Encoding, max_record_bytes: int
) -> Alignment:
    """Say where the records of a piece end.

    Args:
        scan: of the piece.
        before: alignment of the piece before it.
        source: named in errors.
        encoding: of the source, whose bytes errors count.
        max_record_bytes: bound of a record, and so of the memory that a stray quote can take.

    Raises:
        SourceError: a record is longer than `max_record_bytes`, or the source ends within one.
    """
    data, state = scan.data, before.state
    trusted = scan.holds(state)
    if trusted:
        ends, state_after = scan.ends[state.inside], scan.after[state.inside]
    else:
        ends, state_after = scan_from(scan, state)
    # A CR at the end of the piece before is a line end of its own, if no LF follows.
    lone_return = before.tail.endswith(b"\r") and data[:1] != b"\n" and bool(data or scan.last)
    # If no quote would open a field behind it, it is escaped.
    if lone_return and not state.inside and state.opens:
        ends = np.concatenate([np.zeros(1, np.int32), ends])

    end = int(ends[-1]) if len(ends) else 0
    after = replace(
        before,
        ends=ends,
        trusted=trusted and before.tail_trusted,
        tail_trusted=trusted and (before.tail_trusted or len(ends) > 0),
        tail=data[end:] if len(ends) else before.tail + data,
        state=state_after if data else state,
    )
    if len(ends):
        lines = _count_lines(before.tail) + lone_return + scan.n_lines - _count_lines(after.tail)
        after = replace(
            after,
            records=before.records + _count_records(data, ends, before.tail),
            lines=before.lines + lines,
        )
    if len(after.tail) > max_record_bytes or (scan.last and after.tail):
        offset = scan.offset - len(encoding.source_bytes(before.tail))
        if len(ends):
            offset += len(encoding.source_bytes(before.tail + data[:end]))
        where = place(source, after.records - after.first_record, after.lines, offset)
        if len(after.tail) > max_record_bytes:
            raise too_long(where, max_record_bytes)
        if not after.state.inside:
            raise SourceError(
                where,
                expected="a line end that closes the record",
                found=f"one behind {scan.dialect.escape!r}, and the end of the file",
                hint="the file is cut short, or it has another --escape-char, or none",
            )
        raise SourceError(
            where,
            expected="a quote that closes the one opened here",
            found="the end of the file",
            hint="close the quote, or double it if it is part of the text",
        )
    return after


def _count_lines(data: bytes) -> int:
    return len(line_ends(data, last=False))


def _count_records(data: bytes, ends: Positions, tail: bytes) -> int:
    """Return how many of the line ends end a record that is not a blank line."""
    blank = 0
    if len(tail) + int(ends[0]) <= 2:
        blank = int(tail + data[: ends[0]] in (b"\n", b"\r\n", b"\r"))
    lengths = np.diff(ends)
    blank += int(np.count_nonzero(lengths == 1))
    two = ends[1:][lengths == 2]
    if len(two):
        array = np.frombuffer(data, np.uint8)
        blank += int(np.count_nonzero((array[two - 2] == CR) & (array[two - 1] == LF)))
    return len(ends) - blank


def place(source: str, record: int, line: int, offset: int) -> str:
    """Name the place of a record: its number and line (both from 1), and its byte (from 0)."""
    name = "header" if record < 0 else f"record {record + 1}"
    return f"{source}: {name} (line {line + 1}, byte {offset})"


def source_offset(scan: Scan, tail: bytes, position: int, encoding: Encoding) -> int:
    """Return where a byte stands in its source.

    Args:
        scan: of a piece.
        tail: what is before it of its first record.
        position: of the byte in the piece, counted from behind the tail.
        encoding: of the source.
    """
    if encoding.is_searchable:
        return scan.offset + position
    before = encoding.source_bytes(tail)
    own = encoding.source_bytes(tail + scan.data[: max(position, 0)])
    return scan.offset + (len(own) if position >= 0 else 0) - len(before)


def too_long(where: str, max_record_bytes: int) -> SourceError:
    """Return the error for a record without an end."""
    return SourceError(
        where,
        expected=f"a record of at most {max_record_bytes:,} bytes",
        found="a longer one",
        hint="it probably has a quote that is never closed; if not, raise --max-record-bytes",
    )
