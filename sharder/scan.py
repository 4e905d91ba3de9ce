"""Find where records end, in a piece of a CSV, without knowing what came before.

A line end ends a record unless it stands inside quotes, and a piece that begins in the middle of
the file may begin inside quotes. So each piece is scanned for both cases at once, in parallel;
the alignment, which goes through the pieces in order, then says which of them holds.

What is a record is what Python's `csv` module says (not strict): a quote opens a quoted field only
at the start of a field; elsewhere in an unquoted field (`5" nail`) it is a literal character.
Counting quotes knows nothing of that, so it is only the fast path. Whether it may be trusted is
checked: each quote that it takes for an opening one must stand at the start of a field, or right
behind a closing one, which makes the two an escaped quote. Where one does not, the quotes are
looked at one by one (`structural_quotes`).
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from sharder.dialect import PLAIN, Dialect
from sharder.lines import CR, LF, Positions, find, line_ends

Bytes = npt.NDArray[np.uint8]

_NONE = np.empty(0, np.int32)


@dataclass(frozen=True)
class Scan:
    """A piece of a source, and its record ends in either case.

    Attributes:
        data: the bytes.
        last: whether the source ends with this piece.
        offset: of the piece in its source, bytes.
        dialect: of the source.
        ends: record ends (index behind the line end), each (E,), if the piece begins outside
            quotes, and if it begins inside.
        trusted: whether the fast path holds, in each case.
        n_quotes: number of quote characters.
        n_lines: number of line ends, those inside quotes counted too.
    """

    data: bytes
    last: bool
    offset: int
    dialect: Dialect
    ends: tuple[Positions, Positions]
    trusted: tuple[bool, bool]
    n_quotes: int
    n_lines: int


def scan(data: bytes, *, last: bool, offset: int = 0, dialect: Dialect = PLAIN) -> Scan:
    """Find the record ends of a piece.

    A CR at its very end is a line end only if no LF follows, so unless the piece is the last it is
    left to the alignment with the next one.
    """
    array = np.frombuffer(data, np.uint8)
    ends = line_ends(data, last=last)
    if not dialect.has_quotes(data):
        return Scan(data, last, offset, dialect, (ends, _NONE), (True, True), 0, len(ends))
    quotes = find(data, dialect.quote_byte)
    inside = (np.searchsorted(quotes, ends) & 1).astype(bool)
    return Scan(
        data,
        last,
        offset,
        dialect,
        (ends[~inside], ends[inside]),
        (
            _all_at_field_start(array, quotes[0::2], dialect),
            _all_at_field_start(array, quotes[1::2], dialect),
        ),
        len(quotes),
        len(ends),
    )


def _all_at_field_start(array: Bytes, opening: Positions, dialect: Dialect) -> bool:
    """Tell whether each of these quotes stands where a quoted field may begin or go on.

    One at position 0 depends on the piece before: the alignment looks at it.
    """
    if len(opening) and opening[0] == 0:
        opening = opening[1:]
    before = array[opening - 1]
    starts = (before == dialect.delimiter_byte) | (before == LF)
    starts |= (before == dialect.quote_byte) | (before == CR)
    return bool(starts.all())


def structural_quotes(data: bytes, *, inside: bool, opens: bool, dialect: Dialect) -> Positions:
    """Return the quotes that open or close a quoted field, or are half of an escaped quote.

    Args:
        data: a piece.
        inside: whether it begins inside quotes.
        opens: whether a quote as its first byte would be structural.
        dialect: of the source.
    """
    kept: list[int] = []
    closed = 0 if opens else -1  # where a quote would follow a closing one directly
    starts = bytes((dialect.delimiter_byte, LF, CR))
    for position in find(data, dialect.quote_byte).tolist():
        if inside:
            closed = position + 1
        elif position != closed and (position == 0 or data[position - 1] not in starts):
            continue
        kept.append(position)
        inside = not inside
    return np.array(kept, np.int32)
