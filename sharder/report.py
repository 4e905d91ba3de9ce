"""What people read: the summary of a split, a dataset's profile, the result of a check."""

from __future__ import annotations

import contextlib
import re
import resource
import sys
from collections import Counter
from pathlib import Path

from rich import box
from rich.console import Console
from rich.table import Table
from rich.text import Text

from sharder.dry_run import Plan
from sharder.split import SplitResult
from sharder.verify import Verified
from shared.layout import REJECTED_NAME, Side
from shared.manifest import Manifest, Split
from shared.schema import Column
from shared.sketch import Limits

# Values longer than this are cut in tables.
_SHOWN_CHARACTERS = 24
# And no more values than these are shown of a column.
_SHOWN_VALUES = 20

_RIGHT = ("missing", "distinct", "min", "mean", "sd", "max")
_LABELS = {Side.TRAIN: "training", Side.VALIDATE: "validation", Side.TEST: "test"}
_HEADINGS = ("column", "type", *_RIGHT, "most frequent")


def print_split(result: SplitResult, console: Console) -> None:
    """Print the summary of a run: the ledger, the shards, the time, the memory."""
    manifest = result.manifest
    earlier = result.earlier_bytes / 1e6
    megabytes = sum(source.bytes for source in manifest.sources) / 1e6 - earlier
    _say(console, _ledger(manifest))
    if manifest.rejected:
        _say(console, f"rejected records and their reasons: {result.dataset / REJECTED_NAME}")
    asked = "" if result.memory_bytes is None else f" (--memory {_mebibytes(result.memory_bytes)})"
    rest = f" behind the {earlier:,.0f} MB of an earlier run" if earlier else ""
    _say(
        console,
        f"{megabytes:,.0f} MB{rest} in {result.seconds:.1f} s, "
        f"{megabytes / result.seconds:,.0f} MB/s, "
        f"at most {_mebibytes(_peak_bytes())} of memory{asked}",
    )


def print_plan(plan: Plan, console: Console) -> None:
    """Print what a run would do."""
    workers, size = plan.config.workers, f"{plan.config.block_bytes / 2**20:,.3g} MiB"
    _say(console, f"{plan.bytes / 1e6:,.0f} MB: about {_count(plan.shards, 'shard')}")
    if plan.rounds:
        _say(
            console,
            f"{_count(plan.blocks, 'block')} of {size}: {_count(plan.tasks, 'task')} in "
            f"{_count(plan.rounds, 'graph')}, the largest of {plan.largest:,}, "
            f"built in {plan.seconds:.1f} s",
        )
    for stream in plan.streams:
        _say(console, f"{stream}: a stream, cut into blocks of {size} as it comes")
    _say(
        console,
        f"{_count(workers, 'worker')}, {workers + 1} blocks under way at once: "
        f"at most about {_mebibytes(plan.memory_bytes)} of memory",
    )
    _say(console, "nothing was written")


def print_verified(dataset: Path, verified: Verified) -> None:
    """Print what a check has proved."""
    split = verified.manifest.split
    proved = {
        "record": "",
        "group": f"\nno {split.column} is on two sides",
        "class": f"\neach {split.column} has its share of each side, exact to one record",
        "time": f"\nno {split.column} of training is later than one of another side",
    }
    _say(
        Console(),
        f"{dataset}: each of {verified.shards:,} shards ({verified.bytes / 1e6:,.0f} MB) is as the "
        f"manifest says\n{_ledger(verified.manifest)}" + proved[split.by],
    )


def print_info(dataset: Path, manifest: Manifest) -> None:
    """Print the profile of a dataset as a table."""
    console = Console()
    if not console.is_terminal:
        # Nobody resizes a file: make room for the names.
        console = Console(width=140)
    _say(console, str(dataset), style="bold")
    _say(console, _ledger(manifest))
    split = manifest.split
    sources = ", ".join(f"{s.path} ({s.bytes / 1e6:,.1f} MB)" for s in manifest.sources)
    _say(
        console,
        f"split by {split.column or split.by}, {_parts(split)}{', shuffled' * split.shuffle}, "
        f"seed {split.seed}; from {sources}",
        style="dim",
    )
    classes = {side: entry.classes for side, entry in manifest.sides.items() if entry.classes}
    if split.column is not None and classes:
        print_shares(console, split.column, classes)
    for side, entry in manifest.sides.items():
        if entry.times is not None:
            _say(console, f"{_LABELS[side]}: {entry.times[0]} to {entry.times[1]}")
    if manifest.columns is None:
        console.print("no profile: it was made with --no-profile")
        return
    good = manifest.records - manifest.rejected
    rows = [_row(column, good) for column in manifest.columns]
    table = Table(box=box.SIMPLE_HEAD, pad_edge=False)
    for index, name in enumerate(_HEADINGS):
        # All columns keep their width but the last, which gives way in a narrow terminal.
        last = index == len(_HEADINGS) - 1
        table.add_column(
            name,
            style="bold" if index == 0 else "",
            justify="right" if name in _RIGHT else "left",
            no_wrap=True,
            min_width=0 if last else max(len(name), *(row[index].cell_len for row in rows)),
        )
    for row in rows:
        table.add_row(*row)
    console.print(table)
    if not all(column.distinct_exact for column in manifest.columns):
        error = Limits.of_table(len(manifest.columns)).standard_error
        console.print(f"~ estimated, standard error {error:.1%}", style="dim")


def print_shares(console: Console, column: str, counts: dict[Side, dict[str, int]]) -> None:
    """Print how often each value of a column is on each side, the most frequent ones first."""
    totals = Counter[str]()
    for of in counts.values():
        totals.update(of)
    table = Table(box=box.SIMPLE_HEAD, pad_edge=False)
    table.add_column(Text(column), style="bold", no_wrap=True)
    for side in counts:
        table.add_column(_LABELS[side], justify="right", no_wrap=True)
        table.add_column("", justify="right", no_wrap=True)
    for value in sorted(totals, key=lambda value: (-totals[value], value))[:_SHOWN_VALUES]:
        cells = []
        for of in counts.values():
            count = of.get(value, 0)
            cells += [f"{count:,}", f"{count / sum(of.values()):.3%}"]
        table.add_row(_cell(value) if value else Text("(empty)", style="dim"), *cells)
    console.print(table)
    if len(totals) > _SHOWN_VALUES:
        console.print(f"and {len(totals) - _SHOWN_VALUES:,} values more", style="dim")


def _say(console: Console, text: str, style: str = "") -> None:
    """Print a line as it is: a path may look like markup, and is not to be wrapped."""
    console.print(text, style=style, highlight=False, markup=False, emoji=False, soft_wrap=True)


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
    name = Text(column.name or "(no name)", style="" if column.name else "dim")
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
    text = " ".join(text.split())
    return text if len(text) <= _SHOWN_CHARACTERS else text[: _SHOWN_CHARACTERS - 1] + "…"


def _ledger(manifest: Manifest) -> str:
    parts = [
        f"{manifest.sides[side].records:,} {label} ({len(manifest.sides[side].bytes):,} shards)"
        for side, label in _LABELS.items()
        if side in manifest.sides
    ]
    parts.append(f"{manifest.rejected:,} rejected")
    return f"{manifest.records:,} records = {' + '.join(parts)}"


def _count(number: int, noun: str) -> str:
    return f"{number:,} {noun}{'' if number == 1 else 's'}"


def _mebibytes(bytes_: int) -> str:
    return f"{bytes_ / 2**20:,.0f} MiB"


def _peak_bytes() -> int:
    # On Linux `ru_maxrss` begins with what the process had that started this one.
    with contextlib.suppress(OSError):  # no such system
        match = re.search(r"VmHWM:\s+(\d+) kB", Path("/proc/self/status").read_text())
        if match:
            return int(match[1]) * 1024
    # macOS counts bytes, others kibibytes.
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return peak if sys.platform == "darwin" else peak * 1024
