"""Text of a source in a message or a terminal, where some characters are commands."""

from __future__ import annotations

import re
from collections.abc import Sequence

# Control characters but tab and newline, halves of surrogate pairs, which no terminal can show, and
# what turns the direction of the text around it.
_COMMANDS = re.compile(
    "[\x00-\x08\x0b-\x1f\x7f-\x9f\ud800-\udfff\u202a-\u202e\u2066-\u2069]", re.ASCII
)

_SHOWN_CHARACTERS = 80
_SHOWN_NAMES = 100


def printable(text: str) -> str:
    r"""Return a text with escapes, such as \\x1b, for what a terminal would obey and not show."""
    return _COMMANDS.sub(lambda found: found[0].encode("unicode_escape").decode(), text)


def shorten(value: object) -> str:
    """Return a value as Python spells it, cut where it is longer than a message may be."""
    text = repr(value)
    return text if len(text) <= _SHOWN_CHARACTERS else text[: _SHOWN_CHARACTERS - 1] + "…"


def list_names(names: Sequence[str]) -> str:
    """Return names with commas between them; the first of them, if there are very many."""
    shown = ", ".join(names[:_SHOWN_NAMES])
    return shown if len(names) <= _SHOWN_NAMES else f"{shown}, … ({len(names):,} in all)"
