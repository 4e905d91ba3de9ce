"""What a run tells a person at its end, on stderr, and metrics as a table on stdout."""

from __future__ import annotations

import time
from collections.abc import Sequence
from pathlib import Path

import click
from rich.console import Console
from rich.filesize import decimal
from rich.table import Table
from rich.text import Text

from shared.printable import printable
from trainer.caching.store import Entry
from trainer.rundir import MODEL_NAME, TENSORBOARD_NAME, Run

# In the label's units only once they are multiplied by its standard deviation.
_STANDARDISED = ("mae", "rmse")
_NAMES = {
    "auc": "AUC",
    "accuracy": "accuracy",
    "balanced_accuracy": "balanced accuracy",
    "log_loss": "log-loss",
    "brier": "Brier score",
    "pr_auc": "PR-AUC",
    "calibration_error": "calibration error",
    "positive_share": "share of positive",
    "mae": "MAE",
    "rmse": "RMSE",
    "r2": "R²",
    "records": "records",
    "loss": "loss",
}


def print_summary(run: Run, out: Path) -> None:
    """Print the end of a run."""
    label = run.spec.label
    table = Table.grid(padding=(0, 2))
    table.add_column(style="dim", justify="right")
    table.add_column(overflow="fold")
    records = f"{run.records:,} + {run.validation_records:,} records in {run.shards:,} shards"
    epochs = f"{run.epochs} epoch{'s' * (run.epochs > 1)}"
    table.add_row("trained on", f"{records}, {epochs}")
    rate = run.records * run.epochs / max(run.seconds, 1e-9)
    table.add_row("in", f"{run.seconds:,.1f} s ({rate:,.0f} records/s, validation included)")
    advice = f": {run.advice}" * bool(run.advice)
    table.add_row("waiting", f"{run.wait_fraction:.0%} of the time, for data{advice}")
    table.add_row("peak memory", f"{run.peak_memory_bytes / 2**20:,.0f} MiB")
    prefix = "val_" if run.validation_records else ""
    side = f"{run.validation_records:,} validation records" if prefix else "training records"
    lines = []
    for name in ("auc", "accuracy", "r2", "rmse", "mae", "loss"):
        value = run.metrics.get(prefix + name)
        if value is not None:
            value *= label.std if name in _STANDARDISED else 1
            lines.append(Text(f"{_NAMES[name]} {value:,.4g}", "bold"))
    best = f" on the {side} (best epoch: {run.best_epoch})"
    table.add_row("result", Text(", ").join(lines) + Text(best))
    takes = "what the --transform gives" if run.spec.transform else "the raw columns"
    table.add_row("model", f"{out / MODEL_NAME}  (takes {takes})")
    table.add_row("logs", f"{out / TENSORBOARD_NAME}  (tensorboard --logdir {out.parent})")
    console = _console(stderr=True)
    title = Text(f"\n{printable(label.column)}", "bold") + Text(f" learned ({label.task})", "none")
    console.print(title)
    console.print(table)


def _console(*, stderr: bool) -> Console:
    # The name of a column or a path may look like markup, which would be lost or fail.
    return Console(stderr=stderr, highlight=False, markup=False, emoji=False)


def print_caches(caches: Sequence[Entry]) -> None:
    """Print a line for each cache on stdout."""
    for cache in caches:
        contents = cache.contents
        used = time.strftime("%Y-%m-%d %H:%M", time.localtime(cache.used_s))
        click.echo(
            f"{contents.side:8}  {contents.records:>13,} records  {contents.features:>5,} features"
            f"  {decimal(cache.bytes):>11}  used {used}  {cache.path}"
        )


def print_metrics(metrics: dict[str, float], *, title: str) -> None:
    """Print metrics as a table on stdout."""
    table = Table(show_header=False)
    table.add_column(style="dim")
    table.add_column(justify="right", style="bold")
    for name, value in metrics.items():
        table.add_row(
            _NAMES.get(name, name), f"{value:,.0f}" if name == "records" else f"{value:,.6g}"
        )
    console = _console(stderr=False)
    console.print(printable(title), soft_wrap=True)
    console.print(table)
