"""What `sharder plan` prints for people."""

from __future__ import annotations

from itertools import groupby

from rich.console import Console
from rich.filesize import decimal
from rich.table import Table

from sharder.info import open_stdout, print_columns
from sharder.plan.forecast import Forecast, PlannedSource
from sharder.report import LABELS, mebibytes
from sharder.run.progress import say

# Of sources that differ, so many groups are shown.
_SHOWN_GROUPS = 10


def print_forecast(forecast: Forecast) -> None:
    """Print what a split would do."""
    console = open_stdout(160)
    _print_sources(forecast, console)
    say(console, _extent(forecast), style="dim")
    if forecast.columns and forecast.sample_records:
        more = {}
        if forecast.told:
            shares = [
                "label" if column.name == forecast.label else f"{forecast.told[column.name]:.0%}"
                for column in forecast.columns
            ]
            more[f"tells {forecast.label}"] = shares
        good = round(forecast.sample_records * (1 - forecast.rejected_share))
        print_columns(forecast.columns, good, console, more)
    table = Table.grid(padding=(0, 2))
    for name, text in _expectations(forecast):
        table.add_row(name, text)
    console.print(table, highlight=False, markup=False)
    for warning in forecast.warnings:
        console.print("! ", style="bold yellow", end="")
        say(console, warning)


def _print_sources(forecast: Forecast, console: Console) -> None:
    def kind(source: PlannedSource) -> tuple[str, str, str]:
        return source.compression or "", source.encoding, source.dialect

    groups = [(of, list(same)) for of, same in groupby(forecast.sources, key=kind)]
    for (compression, encoding, dialect), same in groups[:_SHOWN_GROUPS]:
        sizes = [source.bytes for source in same]
        size = None if None in sizes else sum(size or 0 for size in sizes)
        name = same[0].path + (f" and {len(same) - 1:,} more" if len(same) > 1 else "")
        packed = f", {compression}" if compression else ""
        size_text = "a stream" if size is None else decimal(size)
        say(console, f"{name}: {size_text}{packed}, {encoding}, {dialect}", style="bold")
    if len(groups) > _SHOWN_GROUPS:
        say(console, f"and {len(groups) - _SHOWN_GROUPS:,} more kinds of sources")


def _extent(forecast: Forecast) -> str:
    looked_at = f"{forecast.sample_records:,} records ({decimal(forecast.sample_bytes)})"
    if forecast.whole:
        return f"looked at all of it, {looked_at}"
    if forecast.head_only:
        return f"looked at the first {looked_at}; a stream is not known further on"
    return f"looked at {forecast.places} places, {looked_at}; all else is expected from them"


def _expectations(forecast: Forecast) -> list[tuple[str, str]]:
    about = "" if forecast.whole else "about "
    speed = f"{decimal(round(forecast.bytes_per_second))}/s"
    each = f"{forecast.record_bytes:,.0f} bytes each"
    if forecast.records is None or forecast.inodes is None or forecast.disk_bytes is None:
        rows = [("records", f"{each}; how many is not known before the end")]
        rows.append(("time", f"{1e9 / forecast.bytes_per_second:,.1f} s a GB, {speed}"))
    else:
        rejected = (
            f", {forecast.rejected_share:.2%} of them rejected" if forecast.rejected_share else ""
        )
        records = forecast.records if forecast.whole else _round(forecast.records)
        rows = [("records", f"{about}{records:,}, {each}{rejected}")]
        shards = " + ".join(f"{n:,} {LABELS[side]}" for side, n in (forecast.shards or {}).items())
        rows.append(("shards", f"{about}{shards or f'{forecast.inodes:,} in all'}"))
        disk = f"{about}{decimal(forecast.disk_bytes)}"
        if forecast.free_bytes is None:
            rows.append(
                ("store", f"{disk}, {forecast.inodes:,} objects; its room and pace are not known")
            )
        else:
            inodes = "" if forecast.free_inodes is None else f" of {forecast.free_inodes:,} free"
            disk += f" of {decimal(forecast.free_bytes)} free"
            rows.append(("disk", f"{disk}, {forecast.inodes:,} inodes{inodes}"))
        rows.append(("time", f"about {_duration(forecast.seconds or 0)}, {speed}"))
    rows.append(("memory", f"at most {mebibytes(forecast.memory_bytes)}"))
    return rows


def _round(number: int) -> int:
    """Return a number with three digits that count."""
    return round(number, min(3 - len(str(number)), 0))


def _duration(seconds: float) -> str:
    if seconds < 60:
        return f"{seconds:,.1f} s"
    hours, minutes = divmod(round(seconds / 60), 60)
    return f"{hours:,} h {minutes} min" if hours else f"{minutes} min"
