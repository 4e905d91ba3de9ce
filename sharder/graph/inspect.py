"""Look into the records of one block: how many fields, whether UTF-8, of which key. Parallel."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cache
from typing import Any

import numpy as np
import numpy.typing as npt

from sharder.records.align import Alignment, place, too_long
from sharder.records.cleaning import Cleaner
from sharder.records.encoding import Encoding, Text
from sharder.records.lines import CHUNK_BYTES, CR, Positions, line_ends
from sharder.records.plain import to_plain
from sharder.records.scan import Scan, structure_of
from sharder.sides.keys import Keys, read_keys
from shared.dialect import Dialect
from shared.manifest import Split, spell_path


@dataclass(frozen=True)
class Rejected:
    """A record that is kept aside, and why.

    Attributes:
        source: the file it is from, as `spell_path` spells it.
        record, line: its number and that of its first line in the source, from 1.
        offset: of its first byte in the source.
        reason: what is wrong with it.
        data: its bytes, line end included.
    """

    source: str
    record: int
    line: int
    offset: int
    reason: str
    data: bytes


@dataclass(frozen=True)
class Records:
    """The records of a block, blank lines left out.

    Attributes:
        data: the bytes of whole records, UTF-8, plain CSV.
        starts, ends: (R,) where each record lies in `data`, line end included.
        good: (R,) whether a record is not rejected.
        numbers: (R,) number of each record in all sources, from 0, in order.
        keys: what the rule of the split looks at of the good ones; None if that is the numbers.
        rejected: the rejected records, in order.
        n_read: number of records that there were, the rejected and the dropped ones included.
        dropped: number of records that cleaning has dropped.
        text_bytes: size of the records, blank lines too, in the text of the source.
    """

    data: bytes
    starts: Positions
    ends: Positions
    good: npt.NDArray[np.bool_]
    numbers: npt.NDArray[np.uint64]
    keys: Keys
    rejected: tuple[Rejected, ...]
    text_bytes: int
    n_read: int
    dropped: int

    def __sizeof__(self) -> int:
        return len(self.data)  # a cluster places tasks by it


def inspect(
    scan: Scan,
    before: Alignment,
    own: Alignment,
    *,
    source: str,
    encoding: Encoding,
    header: Sequence[str],
    cleaner: Cleaner | None,
    split: Split,
    max_record_bytes: int,
) -> Records:
    """Look into the records that end in a piece.

    Args:
        scan: of the piece.
        before: alignment of the piece before, which holds the start of the first record.
        own: alignment of the piece, which says where its records end.
        source: named in errors.
        encoding: of the source.
        header: names of the source's columns.
        cleaner: what the records go through, if they do.
        split: the rule that will put them on their sides.
        max_record_bytes: longest record.

    Raises:
        SourceError: a record is longer than `max_record_bytes`.
        ConfigError: the cleaning fails.
    """
    tail = len(before.tail)
    # Joined from a view: each copy of a block counts.
    end = int(own.ends[-1]) if len(own.ends) else 0
    data = b"".join((before.tail, memoryview(scan.data)[:end])) if len(own.ends) else b""
    line_of = own.ends + np.int32(tail)
    lines = np.concatenate([np.zeros(1, np.int32), line_of])[:-1], line_of
    starts, ends = _drop_blank(data, *lines)

    @cache
    def all_line_ends() -> Positions:
        return line_ends(data, last=True)

    known: list[int] = []  # where a record begins in the data, and in its source

    def where(record: int) -> tuple[int, int, int]:
        """Return number, line and byte offset in its source, from 0; record after record."""
        start = int(starts[record])
        # A Python integer would have the line ends copied to 64 bits, for each record.
        line = before.lines + int(np.searchsorted(all_line_ends(), starts[record], side="right"))
        last, offset = known or (0, scan.offset - len(encoding.source_bytes(before.tail)))
        offset += len(encoding.source_bytes(data[last:start]))
        known[:] = start, offset
        return before.records - before.first_record + record, line, offset

    for longer in np.flatnonzero(ends - starts > max_record_bytes)[:1]:
        raise too_long(place(source, *where(longer)), max_record_bytes)

    fields = _count_fields(data, starts, ends, scan.dialect, trusted=own.trusted)
    text = encoding.to_utf8(data, starts, ends)
    reasons = _find_bad(fields, len(header), text, encoding)
    good = np.ones(len(starts), bool)
    good[list(reasons)] = False
    plain = to_plain(scan.dialect, text.data, text.starts, text.ends, good)
    numbers = np.arange(before.records, before.records + len(starts), dtype=np.uint64)
    own_places, dropped = np.arange(len(starts)), 0
    if cleaner is not None:
        own_places = np.flatnonzero(good)
        plain, kept = _clean(*plain, good, cleaner, numbers)
        dropped = len(own_places) - len(kept)
        own_places, good = own_places[kept], np.ones(len(kept), bool)
        header, numbers = cleaner.header, numbers[own_places]
    keys: Keys = None
    if split.column is not None:
        keys, unreadable = read_keys(split, _read_column(*plain, good, header, split.column))
        known_good = np.flatnonzero(good)
        reasons |= {int(own_places[known_good[at]]): why for at, why in unreadable.items()}
        good[known_good[list(unreadable)]] = False
    rejected = []
    for record, reason in sorted(reasons.items()):
        number, line, offset = where(record)
        raw = encoding.source_bytes(data[starts[record] : ends[record]])
        rejected.append(Rejected(spell_path(source), number + 1, line + 1, offset, reason, raw))
    return Records(
        *plain,
        good,
        numbers,
        keys,
        tuple(rejected),
        text_bytes=len(data),
        n_read=len(starts),
        dropped=dropped,
    )


def _clean(
    data: bytes,
    starts: Positions,
    ends: Positions,
    good: npt.NDArray[np.bool_],
    cleaner: Cleaner,
    numbers: npt.NDArray[np.uint64],
) -> tuple[tuple[bytes, Positions, Positions], npt.NDArray[np.int64]]:
    """Return the good records as cleaning leaves them, and which of the good ones they were."""
    records = b"".join(cut(data, starts[good], ends[good]))
    cleaned, kept = cleaner.clean(records, numbers[good])
    bounds = np.cumsum([0, *map(len, cleaned)], dtype=np.int32)
    return (b"".join(cleaned), bounds[:-1], bounds[1:]), kept


def _read_column(
    data: bytes,
    starts: Positions,
    ends: Positions,
    good: npt.NDArray[np.bool_],
    header: Sequence[str],
    column: str,
) -> Any:
    """Return the fields of one column of the good records, a pyarrow.StringArray."""
    # Not at the top: a run without a profile that splits by number needs no Arrow, of 60 ms.
    import pyarrow as pa

    from shared.values import read_text

    records = b"".join(cut(data, starts[good], ends[good]))
    return read_text(records, header, columns=[column])[0] if records else pa.array([], pa.string())


def cut(data: bytes | memoryview, starts: Positions, ends: Positions) -> list[memoryview]:
    """Return records as few slices: those that lie side by side are one."""
    if not len(starts):
        return []
    breaks = np.flatnonzero(starts[1:] != ends[:-1])
    firsts = np.concatenate([starts[:1], starts[breaks + 1]]).tolist()
    lasts = np.concatenate([ends[breaks], ends[-1:]]).tolist()
    view = memoryview(data)
    return [view[first:last] for first, last in zip(firsts, lasts, strict=True)]


def _drop_blank(data: bytes, starts: Positions, ends: Positions) -> tuple[Positions, Positions]:
    lengths = ends - starts
    if not len(lengths) or lengths.min() > 2:
        return starts, ends
    array = np.frombuffer(data, np.uint8)
    # Of one byte, it is a line end; of two, a CR in front of another byte can only be CR LF.
    blank = (lengths == 1) | ((lengths == 2) & (array[starts] == CR))
    return starts[~blank], ends[~blank]


def _find_bad(
    fields: npt.NDArray[np.int64], n_columns: int, text: Text, encoding: Encoding
) -> dict[int, str]:
    """Return the records that are not as the header has it, and why."""
    reasons = {
        int(record): f"{fields[record]} fields, the header has {n_columns}"
        for record in np.flatnonzero(fields != n_columns)
    }
    for record in text.bad:
        reasons.setdefault(record, f"not {encoding.label}")
    return reasons


def _count_fields(
    data: bytes, starts: Positions, ends: Positions, dialect: Dialect, *, trusted: bool
) -> npt.NDArray[np.int64]:
    """Return the number of fields of each record, (R,)."""
    structure = structure_of(data, dialect, trusted=trusted)
    delimiters = _Rank(structure.text, dialect.delimiter_byte)
    fields = delimiters(ends) - delimiters(starts) + 1
    opening, closing = structure.quotes[0::2], structure.quotes[1::2]
    quoted = delimiters(closing) - delimiters(opening)
    opening, quoted = opening[quoted > 0], quoted[quoted > 0]
    np.subtract.at(fields, np.searchsorted(ends, opening, side="right"), quoted)
    return fields


class _Rank:
    """How many of a byte stand before a position, for many positions at once.

    A bit for each byte of the data, and a running count for each 64 of them: counting the
    delimiters of each record so costs 0.3 ns a byte, a tenth of finding where each of them is.
    (Jacobson: Space-efficient static trees and graphs, FOCS 1989.)
    """

    def __init__(self, data: bytes, byte: int) -> None:
        array = np.frombuffer(data, np.uint8)
        # One more word than needed, so that the end of the data is a position as well.
        bits = np.zeros((len(array) // 64 + 1) * 8, np.uint8)
        for start in range(0, len(array), CHUNK_BYTES):
            packed = np.packbits(array[start : start + CHUNK_BYTES] == byte, bitorder="little")
            bits[start // 8 : start // 8 + len(packed)] = packed
        self._words = bits.view("<u8")
        self._before = np.zeros(len(self._words), np.int64)
        np.cumsum(np.bitwise_count(self._words[:-1]), out=self._before[1:], dtype=np.int64)

    def __call__(self, positions: Positions) -> npt.NDArray[np.int64]:
        word = positions >> 6
        below = (np.uint64(1) << (positions & 63).astype(np.uint64)) - np.uint64(1)
        counts: npt.NDArray[np.int64] = self._before[word]
        counts += np.bitwise_count(self._words[word] & below)
        return counts
