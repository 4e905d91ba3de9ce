"""The options of `trainer fit`, in the sections of its help and of docs/trainer.md."""

from __future__ import annotations

import math
from pathlib import Path
from typing import Any, get_args

import click

from shared.options import AutoOr, Bytes, OutPath
from shared.sections import options_with_defaults
from trainer.config import FitConfig, Jit, Missing
from trainer.features.label import Task


class _ClassWeights(click.ParamType[Any]):
    """`balanced`, or a weight for each class: `CLASS=WEIGHT,CLASS=WEIGHT`."""

    name = "weights"

    def convert(self, value: Any, param: Any, ctx: Any) -> Any:
        """Read an option's value."""
        if value == "balanced":
            return value
        weights = {}
        for part in value.split(","):
            # The last "=", since a class may have one in its name.
            name, equals, number = part.rpartition("=")
            try:
                weight = float(number)
            except ValueError:
                weight = math.nan
            if not equals or name in weights or not (math.isfinite(weight) and weight >= 0):
                self.fail(
                    "expected balanced, or CLASS=WEIGHT,CLASS=WEIGHT with each class once and "
                    f"weights of 0 or more, found {part!r}",
                    param,
                    ctx,
                )
            weights[name] = weight
        return weights


# The help shows the defaults, which stand in the config only.
_option = options_with_defaults(FitConfig(dataset=Path(), label="", out=Path()))

SECTIONS: dict[str, tuple[click.Option, ...]] = {
    "Training": (
        click.Option(["--label"], required=True, metavar="COLUMN", help="Column to predict."),
        click.Option(["--out"], required=True, metavar="RUN", type=OutPath(),
                     help="Directory of the run, such as runs/quest."),
        _option("--task", "Kind of task; auto decides by the label's values.",
                type=click.Choice(["auto", *get_args(Task)])),
        _option("--epochs", "Passes over the training side, at most."),
        _option("--patience", "Epochs without a better one until training stops."),
        _option("--monitor", "Metric that tells the best epoch, on the validation side; such as "
                "pr_auc.", metavar="METRIC"),
        _option("--learning-rate", "The highest; it falls to zero along a cosine."),
        _option("--warmup", "Batches over which the rate rises first; below 1 a share of all.",
                metavar="N|SHARE"),
        _option("--class-weight", "Weight of the records of each class in the loss.",
                metavar="balanced|CLASS=W,...", type=_ClassWeights()),
        _option("--weight-column", "Column that says how much each record counts; it is no "
                "feature.", metavar="COLUMN"),
        _option("--model", "Function from the feature specification to a keras.Model.",
                metavar="MODULE:FUNCTION", show_default="an MLP with embeddings"),
        _option("--mixed-precision", "Multiply matrices in bfloat16.", is_flag=True),
        _option("--jit-compile", "Compile the steps with XLA.", type=click.Choice(get_args(Jit))),
        _option("--steps-per-execution", "Batches whose steps are made in one call of the backend; "
                "auto is up to 16 for the default model.", type=AutoOr(click.INT),
                metavar="auto|N", default="auto", show_default=True),
        _option("--seed", "Of the weights and of the order of the batches."),
        _option("--overwrite", "Replace a finished run, or one of other options.", is_flag=True),
    ),
    "Features": (
        _option("--drop", "Column to leave out; may be given again.", multiple=True,
                metavar="COLUMN"),
        _option("--keep", "Column to learn from although it looks like an identifier; may be given "
                "again.", multiple=True, metavar="COLUMN"),
        _option("--missing", "A missing number: the mean, and a column that says so; or a 0.",
                type=click.Choice(get_args(Missing))),
        _option("--features", "An edited copy of a run's features.toml, instead of the three "
                "before.", type=click.Path(path_type=Path), metavar="FILE"),
        _option("--transform", "Function from a pandas DataFrame to (features, labels), instead of "
                "all that.", metavar="MODULE:FUNCTION"),
    ),
    "Feeding": (
        _option("--batch-size", "Records in a batch.", type=int, show_default="one shard"),
        _option("--shuffle-window", "Shards whose records are mixed.", type=int, metavar="N",
                show_default="64, fewer if very wide"),
        _option("--cache", "Where encoded records are kept for later epochs and runs; auto is "
                "beside the dataset.", metavar="auto|DIR|off"),
        _option("--cache-bytes", "Most that the caches there may take.", type=Bytes(),
                metavar="SIZE", show_default="what the disk has free"),
        _option("--workers", "Processes that read shards; 0 reads in this one."),
        _option("--max-queue-size", "Batches that are read ahead."),
        _option("--worker-timeout", "A worker that needs longer for a shard is replaced.",
                metavar="SECONDS"),
    ),
    "Runs that were cut off": (
        _option("--checkpoint-every", "Batches between two checkpoints; each epoch ends with one, "
                "too.", metavar="N"),
        _option("--more-epochs", "Go on with a finished run, for so many epochs at most.",
                type=int, metavar="N"),
    ),
}  # fmt: skip
