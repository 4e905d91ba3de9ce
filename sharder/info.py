"""What `sharder info` prints of a dataset: its sides, the profile, and how columns are spread."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence

from rich import box
from rich.console import Console
from rich.filesize import decimal
from rich.table import Table
from rich.text import Text

from sharder.dataset.mixing import Mixing
from sharder.report import LABELS, count_records, ledger_line
from sharder.run.progress import say
from shared.layout import Side
from shared.manifest import Manifest, Split
from shared.place import Place
from shared.printable import printable
from shared.schema import Column
from shared.sketch import Limits

# Values longer than this are cut in tables.
_SHOWN_CHARACTERS = 24
# And no more values than these are shown of a column.
_SHOWN_VALUES = 20

_RIGHT = ("missing", "distinct", "min", "mean", "sd", "max")

_HEADINGS = ("column", "type", *_RIGHT, "most frequent")


def print_info(dataset: Place, manifest: Manifest) -> None:
    """Print the profile of a dataset as a table."""
    console = open_stdout()
    say(console, str(dataset), style="bold")
    say(console, ledger_line(manifest))
    split = manifest.split
    say(
        console,
        f"split by {split.column or split.by}, {_parts(split)}{', shuffled' * split.shuffle}, "
        f"seed {split.seed}",
        style="dim",
    )
    for number, drop in enumerate(manifest.drops, 1):
        sources = ", ".join(f"{s.path} ({decimal(s.bytes)})" for s in drop.sources)
        counts = f"drop {number}: {count_records(drop)}, " if len(manifest.drops) > 1 else ""
        say(console, f"{counts}from {sources}", style="dim")
    classes = {side: entry.classes for side, entry in manifest.sides.items() if entry.classes}
    if split.column is not None and classes:
        print_shares(split.column, classes)
    for side, entry in manifest.sides.items():
        if entry.times is not None:
            say(console, f"{LABELS[side]}: {entry.times[0]} to {entry.times[1]}")
        if entry.groups is not None:
            shared = f"{entry.shared_groups:,} of them on another side, too"
            say(console, f"{LABELS[side]}: {entry.groups:,} different {split.column}, {shared}")
    if manifest.columns is None:
        console.print("no profile: it was made with --no-profile")
        return
    good = manifest.records - manifest.rejected - manifest.dropped
    print_columns(manifest.columns, good, console)


def print_columns(
    columns: Sequence[Column],
    records: int,
    console: Console,
    more: Mapping[str, Sequence[str]] | None = None,
) -> None:
    """Print the profile of columns as a table.

    Args:
        columns: (C,) the profiles.
        records: number of records that were profiled.
        console: where to print it.
        more: headings of further columns of the table, and the (C,) cells of each.
    """
    more = more or {}
    headings = (*_HEADINGS[:2], *more, *_HEADINGS[2:])
    rows = []
    for column, *cells in zip(columns, *more.values(), strict=True):
        name, type_, *others = _row(column, records)
        rows.append([name, type_, *map(Text, cells), *others])
    table = Table(box=box.SIMPLE_HEAD, pad_edge=False)
    for index, heading in enumerate(headings):
        # All columns keep their width but the last, which gives way in a narrow terminal.
        last = index == len(headings) - 1
        table.add_column(
            Text(printable(heading)),
            style="bold" if index == 0 else "",
            justify="right" if heading in (*_RIGHT, *more) else "left",
            no_wrap=True,
            min_width=0 if last else max(len(heading), *(row[index].cell_len for row in rows)),
        )
    for row in rows:
        table.add_row(*row)
    console.print(table)
    if not all(column.distinct_exact for column in columns):
        error = Limits.of_table(len(columns)).standard_error
        console.print(f"~ estimated, standard error {error:.1%}", style="dim")


def print_mixing(mixings: Sequence[Mixing]) -> None:
    """Print how mixed the shards are, and what a perfect shuffle would leave."""
    table = Table(box=box.SIMPLE_HEAD, pad_edge=False)
    table.add_column("variance between training shards", style="bold", no_wrap=True)
    for heading in ("share", "of a random order", "ratio"):
        table.add_column(heading, justify="right", no_wrap=True)
    for mixing in mixings:
        share = ratio = "-"
        if mixing.between is not None:
            share = f"{mixing.between:.4%}"
            ratio = f"{mixing.between / mixing.expected:.2f}" if mixing.expected else "-"
        table.add_row(Text(printable(mixing.column)), share, f"{mixing.expected:.4%}", ratio)
    open_stdout().print(table)


def print_shares(column: str, counts: dict[Side, dict[str, int]]) -> None:
    """Print how often each value of a column is on each side, the most frequent ones first."""
    console = open_stdout()
    totals = Counter[str]()
    for of in counts.values():
        totals.update(of)
    table = Table(box=box.SIMPLE_HEAD, pad_edge=False)
    table.add_column(Text(printable(column)), style="bold", no_wrap=True)
    for side in counts:
        table.add_column(LABELS[side], justify="right", no_wrap=True)
        table.add_column("", justify="right", no_wrap=True)
    for value in sorted(totals, key=lambda value: (-totals[value], value))[:_SHOWN_VALUES]:
        cells = []
        for of in counts.values():
            count = of.get(value, 0)
            cells += [f"{count:,}", f"{count / max(sum(of.values()), 1):.3%}"]
        table.add_row(_cell(value) if value else Text("(empty)", style="dim"), *cells)
    console.print(table)
    if len(totals) > _SHOWN_VALUES:
        console.print(f"and {len(totals) - _SHOWN_VALUES:,} values more", style="dim")


def _parts(split: Split) -> str:
    """Say how large the sides are, or where they begin."""
    parts = {
        "validation": (split.validate_from, split.validate_fraction),
        "a test": (split.test_from, split.test_fraction),
    }
    return ", ".join(
        f"{side.removeprefix('a ')} from {cut}" if cut is not None else f"{share:.3g} for {side}"
        for side, (cut, share) in parts.items()
        if cut is not None or ((share or side == "validation") and split.by != "time")
    )


def _row(column: Column, records: int) -> list[Text]:
    name = Text(printable(column.name) or "(no name)", style="" if column.name else "dim")
    missing = f"{column.missing / records:.2%}" if column.missing else "-"
    distinct = f"{'' if column.distinct_exact else '~'}{column.distinct:,}"
    deviation = None if column.variance is None else column.variance**0.5
    cells = [column.minimum, column.mean, deviation, column.maximum]
    top = "" if column.distinct == records else _top(column, records)
    texts = (Text(text) for text in (column.type.value, missing, distinct))
    return [name, *texts, *map(_cell, cells), Text(top)]


def _top(column: Column, records: int) -> str:
    about = "" if column.top_exact else "≥"
    shown = [top for top in column.top[:3] if top.count / records >= 0.001]
    return "  ".join(f"{_short(top.value)} {about}{top.count / records:.1%}" for top in shown)


def _cell(value: float | str | None) -> Text:
    if value is None:
        return Text("")
    if isinstance(value, str):
        return Text(_short(value))
    return Text(str(value) if isinstance(value, int) else f"{value:.6g}")


def _short(text: str) -> str:
    text = printable(" ".join(text.split()))
    return text if len(text) <= _SHOWN_CHARACTERS else text[: _SHOWN_CHARACTERS - 1] + "…"


def open_stdout(width: int = 140) -> Console:
    """Return what tables are printed on, of this width where nobody can resize it."""
    console = Console()
    return console if console.is_terminal else Console(width=width)
