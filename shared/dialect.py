"""Dialects of CSV: what is between two fields, around one, and before what has no meaning.

A dialect means what Python's `csv` module says it means (with doubled quotes, not strict).
"""

from __future__ import annotations

import csv
import io
from collections.abc import Iterable, Iterator

import msgspec

from shared.errors import ConfigError


class Dialect(msgspec.Struct, frozen=True):
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
        options = [spell_delimiter(self.delimiter), f"--quote-char {_spell(self.quote)}"]
        if self.escape is not None:
            options.append(f"--escape-char {_spell(self.escape)}")
        return " ".join(options)

    def has_quotes(self, data: bytes) -> bool:
        """Tell whether there is a quote in some bytes."""
        return self.quote is not None and self.quote.encode() in data

    def has_escapes(self, data: bytes) -> bool:
        """Tell whether there is an escape character in some bytes."""
        return self.escape is not None and self.escape.encode() in data

    def read(self, text: str) -> list[list[str]]:
        """Return the fields of records."""
        csv.field_size_limit(1 << 30)  # the length of records is checked elsewhere
        return list(self.read_lines(io.StringIO(text, newline="")))

    def read_lines(self, lines: Iterable[str]) -> Iterator[list[str]]:
        """Return an iterator over the fields of records, from lines with their ends.

        It raises csv.Error for a field that is longer than `csv.field_size_limit`.
        """
        return csv.reader(
            lines,
            delimiter=self.delimiter,
            quotechar=self.quote,
            escapechar=self.escape,
            quoting=csv.QUOTE_NONE if self.quote is None else csv.QUOTE_MINIMAL,
        )


PLAIN = Dialect()


def spell_delimiter(delimiter: str) -> str:
    """Return the option that names a delimiter, as a shell takes it."""
    return f"--delimiter {_spell(delimiter)}"


def check_dialect(dialect: Dialect) -> None:
    """Refuse what cannot be meant.

    Raises:
        ConfigError: a character that cannot have its meaning, or one with two.
    """
    _check_character("--delimiter", dialect.delimiter, never='"')
    if dialect.quote is not None:
        _check_character("--quote-char", dialect.quote)
    if dialect.quote == dialect.delimiter:
        raise ConfigError(
            "--quote-char", expected="another one than the delimiter", found=dialect.delimiter
        )
    if dialect.escape is not None:
        _check_character("--escape-char", dialect.escape)
        if dialect.escape in (dialect.delimiter, dialect.quote):
            raise ConfigError(
                "--escape-char",
                expected="another one than delimiter and quote; doubled quotes need none",
                found=dialect.escape,
            )


def _check_character(option: str, character: str, never: str = "") -> None:
    if len(character) != 1 or not character.isascii() or character in f"\0\r\n{never}":
        raise ConfigError(
            option, expected="one ASCII character that can have this meaning", found=repr(character)
        )


def _spell(character: str | None) -> str:
    if character is None:
        return "none"
    if character == "\t":
        return "tab"
    if not character.isprintable():
        return f"$'\\x{ord(character):02x}'"
    return f'"{character}"' if character == "'" else f"'{character}'"
