"""Find where records end, in a piece of a CSV, without knowing what came before.

A line end ends a record unless it stands inside quotes, and a piece that begins in the middle of
the file may begin inside quotes. So each piece is scanned for both cases at once, in parallel;
the alignment, which goes through the pieces in order, then says which of them holds. Where neither
does, the piece is scanned once more, from the state that is known by then (`scan_from`).
"""

from __future__ import annotations

from dataclasses import dataclass

from sharder.records.lines import Positions, line_ends
from sharder.records.structure import State, Structure, by_counting, is_trusted, one_by_one
from shared.dialect import PLAIN, Dialect


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
        after: the state behind the piece, in each case.
        trusted: whether that holds, in each case.
        n_lines: number of line ends, those inside quotes and escaped ones counted too.
    """

    data: bytes
    last: bool
    offset: int
    dialect: Dialect
    ends: tuple[Positions, Positions]
    after: tuple[State, State]
    trusted: tuple[bool, bool]
    n_lines: int

    def __sizeof__(self) -> int:
        return len(self.data)  # a cluster places tasks by it

    def holds(self, state: State) -> bool:
        """Tell whether one of the two cases holds for a piece that begins in a state."""
        if state.escaped or not self.trusted[state.inside]:
            return False
        # Of these two as the first byte, what they mean depends on the byte before.
        literal_quote = not (state.opens or state.inside) and self.dialect.has_quotes(self.data[:1])
        return not literal_quote and not (state.closed and self.dialect.has_escapes(self.data[:1]))


def scan(data: bytes, *, last: bool, offset: int = 0, dialect: Dialect = PLAIN) -> Scan:
    """Find the record ends of a piece.

    A CR at its very end is a line end only if no LF follows, so unless the piece is the last it is
    left to the alignment with the next one.
    """
    structure = by_counting(data, dialect)
    ends = all_ends = line_ends(structure.text, last=last)
    inside = ends[:0]
    if len(structure.quotes):
        is_outside = structure.outside(ends, inside=False)
        ends, inside = ends[is_outside], ends[~is_outside]
    return Scan(
        data,
        last,
        offset,
        dialect,
        (ends, inside),
        (
            structure.after(State(), dialect),
            structure.after(State(inside=True), dialect),
        ),
        (
            is_trusted(structure, dialect, inside=False),
            is_trusted(structure, dialect, inside=True),
        ),
        len(all_ends) if structure.text is data else len(line_ends(data, last=last)),
    )


def scan_from(piece: Scan, state: State) -> tuple[Positions, State]:
    """Return the record ends of a piece that begins in a state, and the state behind it."""
    structure = one_by_one(piece.data, state, piece.dialect)
    ends = line_ends(structure.text, last=piece.last)
    ends = ends[structure.outside(ends, inside=state.inside)]
    return ends, structure.after(state, piece.dialect)


def structure_of(data: bytes, dialect: Dialect, *, trusted: bool) -> Structure:
    """Return the structure of whole records; `trusted` is what their alignment says."""
    return by_counting(data, dialect) if trusted else one_by_one(data, State(), dialect)
