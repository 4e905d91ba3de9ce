"""What is said of the sources before a run: what was detected, and what looks wrong."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Sequence
from itertools import groupby

from rich.console import Console

from sharder.config import SplitConfig
from sharder.records.codec import AUTO
from sharder.run.progress import say
from sharder.sources.sniffing import is_number
from sharder.sources.source import Source

_YEAR = re.compile(r"(1[89]|20)\d\d")


def print_found(sources: Sequence[Source], config: SplitConfig, console: Console) -> None:
    """Print what was detected of the sources."""
    if config.encoding == AUTO:
        _print_each(sources, lambda source: f"written in {source.encoding.label}", console)
    if config.dialect == AUTO:
        _print_each(sources, lambda source: f"a CSV with {source.dialect.options}", console)


def _print_each(
    sources: Sequence[Source], found: Callable[[Source], str], console: Console
) -> None:
    for what, same in groupby(sources, key=found):
        names = [source.name for source in same]
        more = f" and {len(names) - 1:,} more" if len(names) > 1 else ""
        say(console, f"{names[0]}{more}: {what}, as it seems")


def print_doubts(sources: Sequence[Source], console: Console) -> None:
    """Print what looks as if it was not meant."""
    for doubt in find_doubts(sources):
        say(console, doubt)


def find_doubts(sources: Sequence[Source]) -> Iterator[str]:
    """Yield what looks in the headers as if it was not meant."""
    first = sources[0]
    other = next((character for character in ";\t|" if character in first.header[0]), None)
    if len(first.header) == 1 and other:
        yield (
            f"{first.name}: one column, {first.header[0]!r}; if that is several, "
            f"say --delimiter {'tab' if other == chr(9) else repr(other)}, or --dialect auto"
        )
    # Years are names in many tables.
    numbers = [name for name in first.header if is_number(name) and not _YEAR.fullmatch(name)]
    if numbers:
        yield (
            f"{first.name}: a column is named {numbers[0]!r}; if the first line is a record, "
            "say --no-header --columns NAME,…"
        )
