"""The command line of stage 1: a thin skin over `split` and the other commands."""

from __future__ import annotations

import csv
import gc
import io
import json
import os
import sys
from pathlib import Path
from typing import Any, cast

import click

from sharder.config import GIVEN, SplitConfig
from sharder.split_options import PLAN_SECTIONS, SECTIONS
from shared.errors import ConfigError, ShardfitError
from shared.options import PlacePath
from shared.place import Place
from shared.sections import SectionedCommand
from shared.start import end

_DATASET = click.argument("dataset", type=PlacePath())
_SOURCES = click.argument("sources", metavar="SOURCE...", nargs=-1, required=True)


@click.group(context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 100})
@click.version_option(package_name="shardfit")
def cli() -> None:
    """Stage 1 of shardfit: split a CSV of any size into shards for training."""


@cli.command(cls=SectionedCommand, sections=SECTIONS)
@_SOURCES
@click.pass_context
def split(context: click.Context, /, *, dry_run: bool, **options: Any) -> None:
    """Split CSVs into shards of 1000 records, for training and validation.

    A SOURCE is a file, packed with gzip, bzip2, xz or zstd or not; - for stdin; a URL such as
    s3://bucket/drop.csv; or a quoted pattern of these, such as 'part-*.csv.gz'.

    Prints the path of the dataset, the only line on stdout:

      sharder split quest_log.csv --out data | trainer fit - --label clear
    """
    if options["append"] and isinstance(options["out"], Path):  # a store is refused
        _take_over(context, options)
    config = _config(options)
    _prepare(with_pandas=config.clean is not None or config.dashboard)  # bokeh looks for it
    # Not before now: importing Dask and Arrow takes longer than --help may.
    from rich.console import Console

    from sharder.dry_run import plan
    from sharder.report import print_plan, print_split
    from sharder.split import run

    # What was imported stays, so the garbage collector need not look through it again and again.
    gc.freeze()
    console = Console(stderr=True)
    if dry_run:
        print_plan(plan(config, console), console)
        return
    result = run(config, console)
    # First what the next stage waits for; the summary is for people.
    click.echo(os.fsencode(str(result.dataset)))
    print_split(result, console)


def _config(options: dict[str, Any]) -> SplitConfig:
    """Return what the options of a split ask for."""
    names = options.pop("columns")
    if options.pop("no_header") != bool(names):
        raise click.UsageError("--no-header and --columns a,b,c go together: give both, or neither")
    try:
        options["columns"] = tuple(next(csv.reader([names]), []))
        return SplitConfig(**options)
    except csv.Error as error:
        raise click.UsageError(f"--columns: {error}") from None
    except ConfigError as error:
        raise click.UsageError(str(error)) from None


@cli.command(cls=SectionedCommand, sections=PLAN_SECTIONS)
@_SOURCES
def plan(*, label: str | None, as_json: bool, **options: Any) -> None:
    """Say what `split` would do with the same options, by a look at a few MB of the sources.

    Exit status 1 where it would be refused.
    """
    if options["out"] is None:
        # Only the room on the disk counts, not what is there.
        options |= {"out": Path(), "overwrite": True}
    config = _config(options)
    _prepare()
    import msgspec

    from sharder.plan.forecast import run
    from sharder.plan.report import print_forecast

    found = run(config, label)
    if as_json:
        click.echo(msgspec.json.format(msgspec.json.encode(found), indent=1))
    else:
        print_forecast(found)


@cli.command()
@_DATASET
def verify(dataset: Place) -> None:
    """Prove the manifest from the files: names, counts, checksums, headers.

    All that is not as it was written is told, each with what to do.
    """
    from sharder.dataset.verify import run
    from sharder.report import print_verified

    print_verified(dataset, run(dataset))


@cli.command()
@_DATASET
@click.argument("sources", metavar="[SOURCE]...", nargs=-1)
def repair(dataset: Place, sources: tuple[str, ...]) -> None:
    """Write shards that are damaged or missing anew from their source; good ones stay untouched.

    The sources are looked for where they were. If they are elsewhere now, or if it was a stream,
    name each SOURCE, in the order in which they were split. Files that are no part of the dataset
    are moved to DATASET.extra.
    """
    _prepare()
    from rich.console import Console

    from sharder.repair import run
    from sharder.report import print_repaired

    print_repaired(dataset, run(dataset, sources, Console(stderr=True)))


@cli.command()
@_DATASET
@click.option("--json", "as_json", is_flag=True, help="Print the manifest's profile as JSON.")
@click.option("--label", metavar="COLUMN",
              help="Count the values of this column on each side, in the shards.")  # fmt: skip
@click.option("--mixing", metavar="COLUMN", multiple=True,
              help="Say how mixed the training shards are by it; may be repeated.")  # fmt: skip
def info(dataset: Place, *, as_json: bool, label: str | None, mixing: tuple[str, ...]) -> None:
    """Print what a dataset holds: its sides and the profile of its columns.

    With --label or --mixing the shards are read, and what they say takes the profile's place.
    """
    import msgspec

    from sharder.dataset.verify import require_manifest
    from sharder.info import print_info, print_mixing, print_shares

    manifest = require_manifest(dataset)
    if label is not None or mixing:
        from sharder.dataset.mixing import find_mixing, find_shares

        if as_json:
            raise click.UsageError("--json is for the profile: leave --label and --mixing away")
        if label is not None:
            print_shares(label, find_shares(dataset, manifest, label))
        if mixing:
            print_mixing([find_mixing(dataset, manifest, column) for column in mixing])
    elif as_json:
        click.echo(json.dumps(msgspec.to_builtins(manifest.columns), indent=1, ensure_ascii=False))
    else:
        print_info(dataset, manifest)


@cli.command()
@_DATASET
@click.option("--raw", is_flag=True,
              help="Write the records as they are in the sources, to be mended.")  # fmt: skip
def rejected(dataset: Place, *, raw: bool) -> None:
    """Print the records that were kept aside: where each is from, what is wrong, its bytes."""
    from sharder.dataset.rejected import read_rejected
    from sharder.dataset.verify import require_manifest
    from sharder.records.align import place

    manifest = require_manifest(dataset)
    for bad in read_rejected(dataset) if manifest.rejected else ():
        if raw:
            sys.stdout.buffer.write(bad.data)
        else:
            where = place(bad.source, bad.record - 1, bad.line - 1, bad.offset)
            click.echo(f"{where}: {bad.reason}: {bad.data!r}")
    sys.stdout.buffer.flush()


def _take_over(context: click.Context, options: dict[str, Any]) -> None:
    """Take the options that are not given from the dataset that is appended to."""
    from sharder.dataset.verify import require_manifest
    from sharder.run.base import appended_options
    from sharder.sides.rule import COLUMN_OPTIONS

    given = {
        name
        for name in options
        if context.get_parameter_source(name) is not click.core.ParameterSource.DEFAULT
    }
    columns = {option.removeprefix("--").replace("-", "_") for option in COLUMN_OPTIONS.values()}
    if given & columns:  # another rule than the dataset's is told, not mixed with it
        given |= columns
    # As the sides are parted by shares or by times.
    shares, times = {"validate_fraction", "test_fraction"}, {"validate_from", "test_from"}
    if given & times:
        given |= shares
    elif given & shares:
        given |= times
    made_with = appended_options(
        require_manifest(options["out"] / options["name"]), is_detected=options["dialect"] != GIVEN
    )
    options.update({name: value for name, value in made_with.items() if name not in given})


def _prepare(*, with_pandas: bool = False) -> None:
    """Make this process ready for threads that share the interpreter's lock with Dask's scheduler.

    Together these take a fifth of the CPU time off a split without a profile.
    """
    from shared.heap import keep_freed_memory
    from shared.nopandas import keep_pandas_out

    keep_freed_memory()
    if not with_pandas:
        keep_pandas_out()
    # A worker has nothing to do until the scheduler gets the lock: 5 ms is as long as a task takes.
    sys.setswitchinterval(0.0002)


def main() -> None:
    """Run the command line: exit status 0 done, 1 an expected failure, 2 wrong usage."""
    # A terminal that knows ASCII only still gets the table of a Japanese column.
    cast("io.TextIOWrapper", sys.stdout).reconfigure(errors="backslashreplace")
    try:
        cli.main(standalone_mode=False)
    except ShardfitError as error:
        end("; ".join((f"sharder: error: {error}", *_notes(error))), 1)
    except MemoryError as error:
        found = "there is not enough memory; lower --workers or --block-bytes"
        end("; ".join((f"sharder: error: {found}", *_notes(error))), 1)
    except BrokenPipeError:
        os._exit(1)  # who read stdout has had enough
    except OSError as error:
        # The world, not a bug: a full disk behind stdout, a directory that may not be read.
        end(f"sharder: error: {error.filename or 'output'}: {error.strerror}", 1)
    except click.ClickException as error:
        error.show()
        sys.exit(error.exit_code)
    except (click.Abort, KeyboardInterrupt, RuntimeError) as error:
        # Up to Python 3.11, Ctrl-C while a class is made, in an import, causes another error.
        if isinstance(error, RuntimeError) and not isinstance(error.__cause__, KeyboardInterrupt):
            raise
        left = " ".join(_notes(error)) or "nothing is left behind"
        end(f"sharder: interrupted; {left}", 130)


def _notes(error: BaseException) -> list[str]:
    """Return what was noted of an error on its way, or of the one that it stands for."""
    cause = error.__cause__ or error.__context__
    return getattr(error, "__notes__", None) or (_notes(cause) if cause else [])


if __name__ == "__main__":
    main()
