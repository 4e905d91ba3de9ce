"""Which bytes of a CSV have a meaning, as Python's `csv` module (not strict) says.

A quote opens a quoted field only at the start of a field; elsewhere in an unquoted field
(`5" nail`) it is a literal character. An escape character takes the meaning from the character
behind it, but directly behind a quote that has closed a field it is one like any other.

Counting knows nothing of that, so it is only the fast path (`by_counting`), which says whether it
may be trusted: each quote that it takes for an opening one must stand at the start of a field, or
right behind a closing one, which makes the two an escaped quote. Where one does not, quotes and
escapes are looked at one by one (`one_by_one`).
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from sharder.records.lines import CR, LF, Positions, find
from shared.dialect import Dialect

# Stands for bytes that were escaped: no dialect gives it a meaning.
_NOTHING = 0

_NONE = np.empty(0, np.int32)


@dataclass(frozen=True)
class State:
    """What a reader knows between two bytes.

    Attributes:
        inside: whether it is inside quotes.
        opens: whether a quote would be structural; inside quotes it always is.
        closed: whether the byte before is a quote that closed a field.
        escaped: whether the next byte has no meaning.
    """

    inside: bool = False
    opens: bool = True
    closed: bool = False
    escaped: bool = False


@dataclass(frozen=True)
class Structure:
    """The bytes of a text that have a meaning.

    Attributes:
        text: the text, with zeros where a byte was escaped.
        quotes: the quotes that open or close a quoted field, or are half of an escaped quote.
        escaped: whether the byte behind the text has no meaning.
    """

    text: bytes
    quotes: Positions
    escaped: bool

    def after(self, before: State, dialect: Dialect) -> State:
        """Return the state at the end."""
        if not self.text:
            return before
        inside = bool((before.inside + len(self.quotes)) & 1)
        on_quote = len(self.quotes) > 0 and int(self.quotes[-1]) == len(self.text) - 1
        closed = on_quote and not inside
        opens = closed or self.text[-1] in (LF, CR, dialect.delimiter_byte)
        return State(inside=inside, opens=opens, closed=closed, escaped=self.escaped)

    def outside(self, positions: Positions, *, inside: bool) -> npt.NDArray[np.bool_]:
        """Tell which positions are outside quotes; `inside` says whether the text begins inside."""
        outside: npt.NDArray[np.bool_] = np.searchsorted(self.quotes, positions) & 1 == inside
        return outside


def by_counting(data: bytes, dialect: Dialect) -> Structure:
    """Return the structure of a text that does not begin with an escaped byte, the fast way.

    It holds if it `is_trusted`.
    """
    text, escaped = data, False
    if dialect.has_escapes(data):
        text, escaped = _hide_escaped(data, dialect)
    quotes = find(text, dialect.quote_byte) if dialect.has_quotes(data) else _NONE
    return Structure(text, quotes, escaped)


def _hide_escaped(data: bytes, dialect: Dialect) -> tuple[bytes, bool]:
    """Put zeros where a byte is escaped; tell whether the byte behind the data is, too."""
    escapes = find(data, dialect.escape_byte)
    # Of those that stand side by side, each second one is escaped itself.
    index = np.arange(len(escapes), dtype=np.int32)
    is_first = np.concatenate([np.ones(1, bool), np.diff(escapes) > 1])
    first = np.maximum.accumulate(np.where(is_first, index, 0))
    hidden = escapes[(index - first) & 1 == 0] + 1
    escaped = bool(hidden[-1] == len(data))
    text = np.frombuffer(data, np.uint8).copy()
    text[hidden[:-1] if escaped else hidden] = _NOTHING
    return text.tobytes(), escaped


def is_trusted(structure: Structure, dialect: Dialect, *, inside: bool) -> bool:
    """Tell whether counting is right about a text that begins inside quotes, or outside.

    What depends on the text before is left open: a quote or an escape as its first byte.
    """
    array = np.frombuffer(structure.text, np.uint8)
    opening, closing = structure.quotes[int(inside) :: 2], structure.quotes[1 - int(inside) :: 2]
    if len(opening) and opening[0] == 0:
        opening = opening[1:]
    before = array[opening - 1]
    starts = (before == dialect.delimiter_byte) | (before == LF)
    starts |= (before == dialect.quote_byte) | (before == CR)
    if dialect.escape is not None and len(closing):
        behind = array[np.minimum(closing + 1, len(array) - 1)]
        if (behind == dialect.escape_byte).any():
            return False
    return bool(starts.all())


def one_by_one(data: bytes, state: State, dialect: Dialect) -> Structure:
    """Return the structure of a text.

    Args:
        data: the text.
        state: at its start.
        dialect: of it.
    """
    quotes: list[int] = []
    hidden: list[int] = [0] if state.escaped else []
    inside = state.inside
    opens = 0 if state.opens else -1  # where a quote would be structural at the start, or closed
    closed = 0 if state.closed else -1
    starts = bytes((dialect.delimiter_byte, LF, CR))
    special = [ord(byte) for byte in (dialect.quote, dialect.escape) if byte is not None]
    for position in find(data, *special).tolist() if special else ():
        if hidden and hidden[-1] == position:
            continue
        if data[position] == dialect.escape_byte:
            if position != closed:
                hidden.append(position + 1)
            continue
        if not inside and position not in (opens, closed):
            is_start = position > 0 and data[position - 1] in starts
            if not is_start or (hidden and hidden[-1] == position - 1):
                continue
        quotes.append(position)
        if inside:
            closed = position + 1
        inside = not inside
    escaped = bool(hidden) and hidden[-1] == len(data)
    text = data
    if hidden:
        array = np.frombuffer(data, np.uint8).copy()
        array[hidden[:-1] if escaped else hidden] = _NOTHING
        text = array.tobytes()
    return Structure(text, np.array(quotes, np.int32), escaped)
