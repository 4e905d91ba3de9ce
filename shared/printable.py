"""Text of a source in a message or a terminal, where some characters are commands."""

from __future__ import annotations

import re

# Control characters but tab and newline, halves of surrogate pairs, which no terminal can show, and
# what turns the direction of the text around it.
_COMMANDS = re.compile(
    "[\x00-\x08\x0b-\x1f\x7f-\x9f\ud800-\udfff\u202a-\u202e\u2066-\u2069]", re.ASCII
)

_SHOWN_CHARACTERS = 80


def printable(text: str) -> str:
    r"""Return a text with escapes, such as \\x1b, for what a terminal would obey and not show."""
    return _COMMANDS.sub(lambda found: found[0].encode("unicode_escape").decode(), text)


def shorten(value: object) -> str:
    """Return a value as Python spells it, cut where it is longer than a message may be."""
    text = repr(value)
    return text if len(text) <= _SHOWN_CHARACTERS else text[: _SHOWN_CHARACTERS - 1] + "…"
