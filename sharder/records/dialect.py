"""Dialects of CSV: any delimiter and quote character in, plain CSV out.

A dialect means what Python's `csv` module says it means (with doubled quotes, not strict). The
shards are always plain: commas, and quotes only where they are needed. So a record of another
dialect is the only kind whose bytes change, and its fields never do.
"""

from __future__ import annotations

import csv
import io
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from sharder.records.lines import CR, LF, Positions, find, move

# Records that are read and written anew at once: as Python's objects they take ten times the room.
_FEW = 1000


@dataclass(frozen=True)
class Dialect:
    """A dialect.

    Attributes:
        delimiter: the ASCII character between two fields.
        quote: the one around fields that have delimiters or line ends in them; None if it is a
            character like any other.
        escape: the one that takes the meaning from the character behind it; None without one.
    """

    delimiter: str = ","
    quote: str | None = '"'
    escape: str | None = None

    @property
    def delimiter_byte(self) -> int:
        """The delimiter as a byte."""
        return ord(self.delimiter)

    @property
    def quote_byte(self) -> int:
        """The quote as a byte; -1 without one, which no byte is."""
        return -1 if self.quote is None else ord(self.quote)

    @property
    def escape_byte(self) -> int:
        """The escape character as a byte; -1 without one."""
        return -1 if self.escape is None else ord(self.escape)

    @property
    def structure(self) -> bytes:
        """All bytes that have a meaning."""
        return f"{self.delimiter}{self.quote or ''}{self.escape or ''}\r\n".encode()

    @property
    def options(self) -> str:
        """The options that name it, as a shell takes them."""
        options = f"--delimiter {_spell(self.delimiter)} --quote-char {_spell(self.quote)}"
        return options if self.escape is None else f"{options} --escape-char {_spell(self.escape)}"

    def has_quotes(self, data: bytes) -> bool:
        """Tell whether there is a quote in some bytes."""
        return self.quote is not None and self.quote.encode() in data

    def has_escapes(self, data: bytes) -> bool:
        """Tell whether there is an escape character in some bytes."""
        return self.escape is not None and self.escape.encode() in data

    def read(self, text: str) -> list[list[str]]:
        """Return the fields of records."""
        csv.field_size_limit(1 << 30)  # the length of records is checked elsewhere
        return list(
            csv.reader(
                io.StringIO(text, newline=""),
                delimiter=self.delimiter,
                quotechar=self.quote,
                escapechar=self.escape,
                quoting=csv.QUOTE_NONE if self.quote is None else csv.QUOTE_MINIMAL,
            )
        )

    def to_plain(
        self, data: bytes, starts: Positions, ends: Positions, good: npt.NDArray[np.bool_]
    ) -> tuple[bytes, Positions, Positions]:
        """Return records as plain CSV: the bytes, and where each begins and ends in them.

        Args:
            data: the records, UTF-8.
            starts: (R,) where each begins, in order.
            ends: (R,) where each ends, line end included.
            good: (R,) whether its fields are right; what becomes of others is left open.
        """
        if self == PLAIN:
            return data, starts, ends
        # Records with quotes or escapes are read and written anew, one by one.
        special = {'"', self.quote or '"', self.escape or '"'} - {self.delimiter}
        rare = np.unique(np.searchsorted(ends, find(data, *map(ord, special)), side="right"))
        rare = rare[good[rare]]
        parts: list[bytes] = []
        done = 0
        for some in np.array_split(rare, len(rare) // _FEW + 1):
            spans = list(zip(starts[some].tolist(), ends[some].tolist(), strict=True))
            rows = self.read(b"".join(data[start:end] for start, end in spans).decode())
            for (start, end), row in zip(spans, rows, strict=True):
                record = write_plain(row)
                # The line end is what the fields do not have: of an escaped CR and a LF, the LF.
                line_end = _count_breaks(data[start:end]) - _count_breaks(record)
                parts += [self._to_commas(data[done:start]), record, data[end - line_end : end]]
                done = end
        parts.append(self._to_commas(data[done:]))
        plain = b"".join(parts)
        return plain, move(starts, data, plain), move(ends, data, plain)

    def _to_commas(self, data: bytes) -> bytes:
        """Return records without quotes as plain CSV."""
        if self.delimiter == ",":
            return data
        if b"," in data:
            data = _put_quotes(data, *self._fields_with_commas(data))
        return data.translate(bytes.maketrans(self.delimiter.encode(), b","))

    def _fields_with_commas(self, data: bytes) -> tuple[Positions, Positions]:
        """Return where fields with a comma begin and end, (F,) each, in records without quotes."""
        ends = find(data, self.delimiter_byte, LF, CR)
        fields = np.searchsorted(ends, find(data, ord(",")))
        fields = fields[np.concatenate([np.ones(1, bool), fields[1:] != fields[:-1]])]
        starts = np.concatenate([np.zeros(1, np.int32), ends + np.int32(1)])
        return starts[fields], ends[fields]


def _spell(character: str | None) -> str:
    if character is None:
        return "none"
    if character == "\t":
        return "tab"
    if not character.isprintable():
        return f"$'\\x{ord(character):02x}'"
    return f'"{character}"' if character == "'" else f"'{character}'"


def _count_breaks(data: bytes) -> int:
    return data.count(b"\n") + data.count(b"\r")


def _put_quotes(data: bytes, starts: Positions, ends: Positions) -> bytes:
    """Return data with a quote before each start, and one before each end."""
    places = np.stack([starts, ends], axis=1).reshape(-1) + np.arange(2 * len(starts))
    quoted = np.empty(len(data) + len(places), np.uint8)
    is_old = np.ones(len(quoted), bool)
    is_old[places] = False
    quoted[is_old] = np.frombuffer(data, np.uint8)
    quoted[places] = ord('"')
    return quoted.tobytes()


PLAIN = Dialect()


def write_plain(row: Sequence[str]) -> bytes:
    """Return a record as plain CSV, without a line end."""
    text = io.StringIO()
    # With both in the line end, the writer quotes a field that has either.
    csv.writer(text, lineterminator="\r\n").writerow(row)
    return text.getvalue().removesuffix("\r\n").encode()
