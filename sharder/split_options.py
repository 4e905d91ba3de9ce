"""The options of `sharder split`, in the sections of its help."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import click

from sharder.config import GIVEN, SplitConfig
from sharder.records.codec import AUTO
from sharder.sides.rule import DEFAULT_FRACTION
from shared.options import CHARACTER_OR_NONE, DELIMITER, Bytes, PlacePath
from shared.sections import options_with_defaults, without


class _Share(click.ParamType[float]):
    """A share of the records: 0.01 or 1%."""

    name = "share"

    def convert(self, value: Any, param: Any, ctx: Any) -> float:
        """Read an option's value."""
        text = str(value)
        try:
            return float(text[:-1]) / 100 if text.endswith("%") else float(text)
        except ValueError:
            self.fail(f"{text!r} is not a share such as 0.01 or 1%", param, ctx)


_option = options_with_defaults(SplitConfig(sources=(Path(),), out=Path()))

SECTIONS: dict[str, tuple[click.Option, ...]] = {
    "The dataset": (
        click.Option(["--out"], required=True, metavar="DIR|URL", type=PlacePath(),
                     help="Directory that gets the dataset, or prefix in a store."),
        _option("--name", "Name of the dataset, and of its directory."),
        _option("--rows-per-shard", "Records in each shard."),
        click.Option(["--profile/--no-profile"], default=True, show_default=True,
                     help="Profile the columns; the trainer needs it, or makes its own."),
        _option("--append", "Add the sources to the dataset that is there, as its next drop.",
                is_flag=True),
        _option("--overwrite", "Replace an existing dataset, once the new one is complete.",
                is_flag=True),
    ),
    "Sources": (
        _option("--encoding", "Of the sources: any that Python has, such as cp932; or auto."),
        _option("--dialect", "As the next three say; or auto.", type=click.Choice([GIVEN, AUTO])),
        _option("--delimiter", "Between two fields: one character, or tab.",
                type=DELIMITER),
        _option("--quote-char", "Around fields: one character, or none.", type=CHARACTER_OR_NONE),
        _option("--escape-char", "Takes the meaning from what is behind it: one character, or "
                "none.", type=CHARACTER_OR_NONE, show_default="none"),
        click.Option(["--no-header"], is_flag=True,
                     help="The sources have no header: --columns names the columns."),
        click.Option(["--columns"], metavar="NAME,...", default="",
                     help="Names of the columns, with --no-header."),
        _option("--max-rejected", "Share of bad records that fails the run.", type=_Share(),
                show_default="1%"),
        _option("--max-record-bytes", "Longest record; stops a quote left open.", type=Bytes(),
                show_default="16MiB"),
        _option("--clean", "Your function from a DataFrame of records to a better one.",
                metavar="MODULE:FUNCTION"),
    ),
    "Sides": (
        _option("--validate-fraction", "Share of the records kept for validation.", type=_Share(),
                show_default=str(DEFAULT_FRACTION)),
        _option("--test-fraction", "Share kept for a last test, on a third side.", type=_Share()),
        _option("--group-by", "Keep all records with the same value together, on one side.",
                metavar="COLUMN"),
        _option("--stratify", "Give each side its share of each value, exact to one record.",
                metavar="COLUMN"),
        _option("--time-column", "The last records by this time are for validation.",
                metavar="COLUMN"),
        _option("--validate-from", "Where it begins; else its share says it.", metavar="TIME"),
        _option("--test-from", "Where the test side begins.", metavar="TIME"),
        _option("--shuffle", "Put the records of each side in a random order, in a second pass.",
                is_flag=True),
        _option("--seed", "Of the split: the same seed gives the same sides."),
    ),
    "The run": (
        _option("--memory", "What the run may take, such as 1GiB: blocks and workers follow.",
                dest="memory_bytes", type=Bytes(), metavar="SIZE"),
        _option("--block-bytes", "Piece of the source that is one task.", type=Bytes(),
                show_default="8MiB"),
        _option("--workers", "Threads; with --scheduler, those of the cluster.",
                show_default="cores"),
        _option("--scheduler", "Run on a Dask cluster: tcp://HOST:PORT, or a scheduler file.",
                metavar="ADDRESS"),
        _option("--dashboard", "Show the run in Dask's dashboard, on this machine.", is_flag=True),
        _option("--checkpoint-every", "Blocks between two checkpoints.",
                show_default="those of 2 s", metavar="N"),
        _option("--restart", "Begin anew, not where an earlier run was cut off.", is_flag=True),
        click.Option(["--dry-run"], is_flag=True,
                     help="Plan the run, say what it takes, and write nothing."),
    ),
}  # fmt: skip

# A plan takes what a split of one drop takes, needs no place, and looks at records as they are.
PLAN_SECTIONS = {
    "The plan": (
        click.Option(["--label"], metavar="COLUMN",
                     help="The column that will be predicted: find the columns that tell it."),
        click.Option(["--json", "as_json"], is_flag=True, help="Print the plan as JSON."),
    ),
    **without(SECTIONS, "dry_run", "checkpoint_every", "restart", "clean", "append", "dashboard"),
}  # fmt: skip
PLAN_SECTIONS["The dataset"][0].required = False
