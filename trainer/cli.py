"""The command line of the trainer: a thin skin over the `run` of a module for each command."""

from __future__ import annotations

import json
import os
import signal
import sys
from pathlib import Path
from typing import Any, get_args

import click

from shared.errors import ConfigError, ShardfitError
from shared.layout import Side
from shared.options import CHARACTER_OR_NONE, DELIMITER, OutPath
from shared.sections import SectionedCommand
from shared.start import end
from trainer.config import (
    EvaluateConfig,
    ExportConfig,
    FitConfig,
    Format,
    ModelFormat,
    PredictConfig,
)
from trainer.fit_options import SECTIONS
from trainer.interrupt import Interrupted

_PATH = click.Path(path_type=Path)
_WORKERS = click.option("--workers", type=int, default=EvaluateConfig.workers, show_default=True,
                        help="Processes that read shards; 0 reads in this one.")  # fmt: skip
_LAYERS = click.option("--model", metavar="MODULE:FUNCTION",
                       help="What RUN was made with, if it has layers of its own.")  # fmt: skip
_TRANSFORM = click.option("--transform", metavar="MODULE:FUNCTION",
                          help="What RUN was made with, if it was with one.")  # fmt: skip


@click.group(context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 100})
@click.version_option(package_name="shardfit")
def cli() -> None:
    """Stage 2 of shardfit: train a Keras model on the shards that `sharder split` made."""


@cli.command(cls=SectionedCommand, sections=SECTIONS, short_help="Train a model on DATASET.")
@click.argument("dataset")
def fit(dataset: str, **options: Any) -> None:
    """Train a model on DATASET, the directory that `sharder split` printed.

    A DATASET of - reads that line from stdin. Prints the directory of the run, the only line on
    stdout where this is no terminal:

      sharder split log.csv --out data | trainer fit - --label clear --out run

    After a failure, Ctrl-C or worse, the same command goes on where it was cut off.
    """
    config = FitConfig(dataset=_dataset_path(dataset), **options)
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


@cli.command(short_help="Predict each record of a CSV with RUN.")
@click.argument("run", type=_PATH)
@click.argument("source", type=_PATH)
@click.option("--out", required=True, metavar="FILE", help="File to write; - is stdout.")
@click.option("--format", type=click.Choice(get_args(Format)), show_default="by the name of FILE",
              help="Format of the file.")  # fmt: skip
@click.option("--keep", multiple=True, metavar="COLUMN",
              help="Column of SOURCE to write, too; may be given again.")  # fmt: skip
@click.option("--overwrite", is_flag=True, help="Replace FILE, if there is one.")
@click.option("--delimiter", default=",", show_default=True, type=DELIMITER,
              help="Between two fields of SOURCE: one character, or tab.")  # fmt: skip
@click.option("--quote-char", default='"', show_default=True, type=CHARACTER_OR_NONE,
              help="Around its fields: one character, or none.")  # fmt: skip
@click.option("--escape-char", default="none", show_default=True, type=CHARACTER_OR_NONE,
              help="Takes the meaning from what is behind it: one character, or none.")  # fmt: skip
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


@cli.command(short_help="Write RUN's model in another format.")
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


@cache.command("ls", short_help="Print the caches of DATASET.")
@_PLACE
def list_(place: Path) -> None:
    """Print the caches of DATASET, or those in the DIR that --cache was given."""
    from trainer.caching.store import find_caches
    from trainer.summary import print_caches

    found = find_caches(place)
    print_caches(found)
    if not found:
        click.echo("none", err=True)


@cache.command(short_help="Remove the caches of DATASET.")
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
        end(f"trainer: error: {error}", 1)
    except MemoryError:
        found = "there is not enough memory; lower --shuffle-window, --batch-size or --workers"
        end(f"trainer: error: {found}", 1)
    except click.ClickException as error:
        error.show()
        sys.exit(error.exit_code)
    except (click.Abort, KeyboardInterrupt) as error:
        cause = error.__cause__ or error  # click puts an Abort of its own around it
        interrupted = cause if isinstance(cause, Interrupted) else Interrupted(signal.SIGINT)
        end(f"trainer: {interrupted.message}", 128 + interrupted.signal)


if __name__ == "__main__":
    main()
