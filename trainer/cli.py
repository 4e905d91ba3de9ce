"""The command line of the trainer: a thin skin over the `run` of a module for each command."""

from __future__ import annotations

import contextlib
import json
import os
import signal
import sys
from pathlib import Path
from typing import Any, NoReturn, get_args

import click

from shared.errors import ConfigError, ShardfitError
from shared.layout import Side
from shared.options import AutoOr, Bytes, OutPath
from trainer.config import (
    EvaluateConfig,
    ExportConfig,
    FitConfig,
    Format,
    Jit,
    ModelFormat,
    PredictConfig,
    parse_class_weight,
)
from trainer.interrupt import Interrupted

# What the options are without: the help shows them, and says them only once, in the config.
_DEFAULTS = FitConfig(dataset=Path(), label="", out=Path())
_PATH = click.Path(path_type=Path)
_WORKERS = click.option("--workers", type=int, default=_DEFAULTS.workers, show_default=True,
                        help="Processes that read shards; 0 reads in this one.")  # fmt: skip
_LAYERS = click.option("--model", metavar="MODULE:FUNCTION",
                       help="What RUN was made with, if it has layers of its own.")  # fmt: skip
_TRANSFORM = click.option("--transform", metavar="MODULE:FUNCTION",
                          help="What RUN was made with, if it was with one.")  # fmt: skip


@click.group(context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 100})
@click.version_option(package_name="shardfit")
def cli() -> None:
    """Stage 2 of shardfit: train a Keras model on the shards that `sharder split` made."""


@cli.command()
@click.argument("dataset")
@click.option("--label", required=True, metavar="COLUMN", help="Column to predict.")
@click.option("--out", required=True, metavar="DIR", type=OutPath(),
              help="Directory of the run, such as runs/quest.")  # fmt: skip
@click.option("--epochs", type=int, default=_DEFAULTS.epochs, show_default=True,
              help="Passes over the training side, at most.")  # fmt: skip
@click.option("--batch-size", type=int, default=_DEFAULTS.batch_size, show_default="one shard",
              help="Records in a batch.")  # fmt: skip
@_WORKERS
@click.option("--max-queue-size", type=int, default=_DEFAULTS.max_queue_size, show_default=True,
              help="Batches that are read ahead.")  # fmt: skip
@click.option("--worker-timeout", type=float, metavar="SECONDS", show_default=True,
              default=_DEFAULTS.worker_timeout,
              help="A worker that needs longer for a shard is replaced.")  # fmt: skip
@click.option("--seed", type=int, default=_DEFAULTS.seed, show_default=True,
              help="Of the weights and of the order of the batches.")  # fmt: skip
@click.option("--shuffle-window", type=int, metavar="N", show_default="64, fewer if very wide",
              help="Shards whose records are mixed.")  # fmt: skip
@click.option("--cache", metavar="auto|DIR|off", default=_DEFAULTS.cache, show_default=True,
              help="Where encoded records are kept for later epochs and runs; "
              "auto is beside the dataset.")  # fmt: skip
@click.option("--cache-bytes", type=Bytes(), show_default="what the disk has free",
              help="Most that the caches there may take.")  # fmt: skip
@click.option(
    "--keep",
    multiple=True,
    metavar="COLUMN",
    help="Column to learn from although it looks like an identifier; may be given again.",
)
@click.option("--drop", multiple=True, metavar="COLUMN",
              help="Column to leave out; may be given again.")  # fmt: skip
@click.option("--features", type=_PATH, metavar="FILE",
              help="How columns become features: an edited copy of a run's features.toml; "
              "instead of --drop, --keep and --missing.")  # fmt: skip
@click.option("--transform", metavar="MODULE:FUNCTION",
              help="Function from a pandas DataFrame to (features, labels), instead of "
              "all that.")  # fmt: skip
@click.option("--task", type=click.Choice(["auto", "binary", "multiclass", "regression"]),
              default=_DEFAULTS.task, show_default=True,
              help="Kind of task; auto decides by the label's values.")  # fmt: skip
@click.option("--model", metavar="MODULE:FUNCTION",
              help="Function from the feature specification to a keras.Model.")  # fmt: skip
@click.option("--learning-rate", type=float, default=_DEFAULTS.learning_rate, show_default=True,
              help="The highest; it falls to zero along a cosine.")  # fmt: skip
@click.option("--warmup", type=float, metavar="N|SHARE", default=_DEFAULTS.warmup,
              show_default=True,
              help="Batches over which the rate rises first; below 1 a share of all.")  # fmt: skip
@click.option("--class-weight", metavar="balanced|CLASS=W,...",
              help="Weight of the records of each class in the loss.")  # fmt: skip
@click.option("--weight-column", metavar="COLUMN",
              help="Column that says how much each record counts; it is no feature.")  # fmt: skip
@click.option("--monitor", metavar="METRIC", default=_DEFAULTS.monitor, show_default=True,
              help="Metric that tells the best epoch, on the validation side.")  # fmt: skip
@click.option("--patience", type=int, default=_DEFAULTS.patience, show_default=True,
              help="Epochs without a better one until training stops.")  # fmt: skip
@click.option("--missing", type=click.Choice(["indicator", "zero"]), default=_DEFAULTS.missing,
              show_default=True,
              help="A missing number: the mean, and a column that says so; or a 0.")  # fmt: skip
@click.option("--mixed-precision", is_flag=True, help="Multiply matrices in bfloat16.")
@click.option("--jit-compile", type=click.Choice(get_args(Jit)), default=_DEFAULTS.jit_compile,
              show_default=True, help="Compile the steps with XLA.")  # fmt: skip
@click.option("--steps-per-execution", type=AutoOr(click.INT), metavar="auto|N", default="auto",
              show_default=True,
              help="Batches whose steps are made in one call of the backend; auto is up to 16 "
              "for the default model.")  # fmt: skip
@click.option("--checkpoint-every", type=int, default=_DEFAULTS.checkpoint_every, metavar="N",
              show_default=True,
              help="Batches between two checkpoints; each epoch ends with one, too.")  # fmt: skip
@click.option("--more-epochs", type=int, metavar="N",
              help="Go on with a finished run, for so many epochs at most.")  # fmt: skip
@click.option("--overwrite", is_flag=True,
              help="Replace a finished run, or one of other options.")  # fmt: skip
def fit(dataset: str, class_weight: str | None, **options: Any) -> None:
    """Train a model on DATASET, the directory that `sharder split` printed.

    A DATASET of - reads that line from stdin. Prints the directory of the run, the only line on
    stdout where this is no terminal:

      sharder split quest_log.csv --out data | trainer fit - --label clear --out runs/quest

    After a failure, Ctrl-C or worse, the same command goes on where it was cut off.
    """
    config = FitConfig(
        dataset=_dataset_path(dataset),
        class_weight=None if class_weight is None else parse_class_weight(class_weight),
        **options,
    )
    # Here, as in the other commands: importing Arrow takes longer than --help may.
    from trainer.fit import run
    from trainer.summary import print_summary

    print_summary(run(config), config.out)
    click.echo(os.fsencode(config.out))


@cli.command()
@click.argument("run", type=_PATH)
@click.argument("dataset", type=_PATH)
@click.option("--side", type=click.Choice([side.value for side in Side]), show_default=True,
              default=Side.VALIDATE.value, help="Records to look at.")  # fmt: skip
@_WORKERS
@_LAYERS
@_TRANSFORM
@click.option("--json", "as_json", is_flag=True, help="Print JSON instead of a table.")
def evaluate(*, side: str, as_json: bool, **options: Any) -> None:
    """Print how well the finished RUN does on DATASET."""
    config = EvaluateConfig(side=Side(side), **options)
    from trainer.evaluate import run
    from trainer.summary import print_metrics

    metrics = run(config)
    if as_json:
        click.echo(json.dumps(metrics))
    else:
        print_metrics(metrics, title=f"{config.run} on {config.dataset} ({config.side})")


@cli.command()
@click.argument("run", type=_PATH)
@click.argument("source", type=_PATH)
@click.option("--out", required=True, metavar="FILE", help="File to write; - is stdout.")
@click.option("--format", type=click.Choice(get_args(Format)), show_default="by the name of FILE",
              help="Format of the file.")  # fmt: skip
@click.option("--keep", multiple=True, metavar="COLUMN",
              help="Column of SOURCE to write, too; may be given again.")  # fmt: skip
@click.option("--overwrite", is_flag=True, help="Replace FILE, if there is one.")
@_LAYERS
@_TRANSFORM
def predict(*, out: str, **options: Any) -> None:
    """Write what the finished RUN says of each record of SOURCE, a CSV of any size, in order.

    After a failure, Ctrl-C or worse, the same command goes on where it was cut off.
    """
    config = PredictConfig(out=None if out == "-" else Path(out), **options)
    from trainer.predict import run as run_predict

    records = run_predict(config)
    click.echo(f"{records:,} records", err=True)
    if config.out is not None:
        click.echo(os.fsencode(config.out))


@cli.command()
@click.argument("run", type=_PATH)
@click.option("--format", required=True, type=click.Choice(get_args(ModelFormat)),
              help="saved_model takes the raw columns, onnx the encoded matrix.")  # fmt: skip
@click.option("--out", type=OutPath(), metavar="PATH", show_default="in the run's directory",
              help="Directory of the saved model, or file of onnx.")  # fmt: skip
@_LAYERS
@click.option("--dataset", type=_PATH, show_default="what it was trained on",
              help="Dataset whose records the exported model is tried on.")  # fmt: skip
@click.option("--overwrite", is_flag=True, help="Replace what an earlier run wrote.")
def export(**options: Any) -> None:
    """Write the model of the finished RUN in another format, and prove it on real records."""
    config = ExportConfig(**options)
    from trainer.convert import run as run_export

    click.echo(run_export(config))


@cli.group()
def cache() -> None:
    """Look at the caches of a dataset, or remove them."""


_PLACE = click.argument("place", type=_PATH, metavar="DATASET|DIR")


@cache.command("ls")
@_PLACE
def list_(place: Path) -> None:
    """Print the caches of DATASET, or those in the DIR that --cache was given."""
    from trainer.caching.store import find_caches
    from trainer.summary import print_caches

    print_caches(find_caches(place))


@cache.command()
@_PLACE
def clear(place: Path) -> None:
    """Remove the caches of DATASET, or those in the DIR that --cache was given.

    Runs that use one keep it until they end.
    """
    from rich.filesize import decimal

    from trainer.caching.store import clear_caches

    removed = clear_caches(place)
    size = decimal(sum(entry.bytes for entry in removed))
    click.echo(f"removed {len(removed)}, {size}", err=True)


def _dataset_path(argument: str) -> Path:
    """Return the dataset's path, which `-` takes from stdin."""
    if argument != "-":
        return Path(argument)
    # As bytes, and to its end: a path may have any, line ends too, whatever the locale.
    line = sys.stdin.buffer.read().removesuffix(b"\n")
    if not line.strip():
        raise ConfigError(
            "stdin",
            expected="the path of a dataset",
            found="nothing: the stage before it gave no dataset",
            hint="its message says why",
        )
    return Path(os.fsdecode(line))


def main() -> None:
    """Run the command line: exit status 0 done, 1 an expected failure, 2 wrong usage."""
    try:
        cli.main(standalone_mode=False)
    except ShardfitError as error:
        _end(f"trainer: error: {error}", 1)
    except MemoryError:
        found = "there is not enough memory; lower --shuffle-window, --batch-size or --workers"
        _end(f"trainer: error: {found}", 1)
    except click.ClickException as error:
        error.show()
        sys.exit(error.exit_code)
    except (click.Abort, KeyboardInterrupt) as error:
        cause = error.__cause__ or error  # click puts an Abort of its own around it
        interrupted = cause if isinstance(cause, Interrupted) else Interrupted(signal.SIGINT)
        _end(f"trainer: {interrupted.message}", 128 + interrupted.signal)


def _end(message: str, status: int) -> NoReturn:
    """End the program where it was cut off.

    Not with sys.exit: TensorFlow's threads may be within a cut-off step, and Arrow's read ahead
    in a source; both crash now and then while the interpreter is taken down. All of ours is closed.
    """
    click.echo(message, err=True)
    # Who read stdout may have gone, or its disk be full.
    with contextlib.suppress(OSError):
        sys.stdout.flush()
    sys.stderr.flush()
    os._exit(status)


if __name__ == "__main__":
    main()
