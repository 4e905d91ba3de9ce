"""What a finished run says of a raw CSV: one row out for each record in, in their order.

A run that was cut off goes on behind the last table that is whole (`trainer.predicting.parts`), and
ends with the same bytes. Standard output is written as it comes.
"""

from __future__ import annotations

import os
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import pyarrow as pa
import xxhash

from shared.errors import SourceError, TargetError, UnreadableError
from trainer.config import PredictConfig
from trainer.interrupt import Interrupted, Interrupts
from trainer.predicting.outlet import guess_format, write_tables
from trainer.predicting.parts import Job, Parts
from trainer.predicting.predictor import Predictor
from trainer.quiet import import_keras
from trainer.rundir import MODEL_NAME, RUN_NAME, check_transform, load_run
from trainer.shards.dataset import say_on_stderr
from trainer.target import check_free, workshop
from trainer.versions import find_versions


def run(config: PredictConfig, *, say: Callable[[str], None] = say_on_stderr) -> int:
    """Write a prediction for each record; return the number of records.

    Args:
        config: the options.
        say: takes lines of prose.

    Raises:
        ShardfitError: an expected failure; the file is then not written.
        Interrupted: a KeyboardInterrupt, for SIGINT and SIGTERM.
    """
    interrupts = Interrupts()
    with interrupts.caught():
        finished = load_run(config.run)
        check_transform(finished, config.run, config.transform)
        predictor = Predictor(config.source, finished.spec, config.keep, config.dialect)
        if config.out is not None:
            check_free(config.out, overwrite=config.overwrite)
        # Not before now: a mistake is told at once, not after seconds of imports.
        with interrupts.loading():
            import_keras(interrupts.closing)
            from trainer.serving.restore import load_core

        predictor.model = load_core(config.run, finished, config.model)
        if config.out is None:
            return _print(predictor, config)
        with workshop(config.out) as directory:
            try:
                return _write(predictor, config, config.out, directory, interrupts, say)
            except OSError as error:
                raise TargetError(
                    config.out,
                    expected="to write the predictions",
                    found=error.strerror or str(error),
                    hint="see to it, then run the same command again: it goes on",
                ) from None


def _write(
    predictor: Predictor,
    config: PredictConfig,
    out: Path,
    directory: Path,
    interrupts: Interrupts,
    say: Callable[[str], None],
) -> int:
    """Write the file, part by part; return the number of rows."""
    source = _source_state(config.source)
    job = Job(
        source=source,
        model=_checksum(config.run / RUN_NAME, config.run / MODEL_NAME),
        columns=config.keep,
        versions=find_versions(),
        dialect=config.dialect,
    )
    parts = Parts(directory, job, lambda line: say(f"{out}: {line}"))
    if parts.rows:
        say(f"{out}: goes on after {parts.rows:,} records")
    try:
        with interrupts.translated():
            for table in predictor.tables(skip=parts.rows):
                parts.add(table)
                interrupts.check()
        if _source_state(config.source) != source:
            raise SourceError(
                config.source, expected="a file that stays as it is", found="one that has changed"
            )
        format_ = config.format or guess_format(out)
        parts.publish(lambda file: write_tables(parts.read(), predictor.schema, file, format_), out)
    except SourceError as error:
        if not isinstance(error, UnreadableError):
            parts.remove()  # of the source as it is, they are of no use
        raise
    except Interrupted as error:
        error.message = f"interrupted; the same command goes on after {parts.rows:,} records"
        raise
    return parts.rows


def _print(predictor: Predictor, config: PredictConfig) -> int:
    """Write to standard output; return the number of rows."""
    rows = 0

    def tables() -> Iterator[pa.Table]:
        nonlocal rows
        for table in predictor.tables():
            rows += len(table)
            yield table

    try:
        write_tables(tables(), predictor.schema, sys.stdout.buffer, config.format or "csv")
        sys.stdout.buffer.flush()
    except OSError as error:
        # Python would try to write the rest once more.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        raise TargetError("standard output", found=error.strerror or str(error)) from None
    return rows


def _source_state(source: Path) -> tuple[int, int]:
    try:
        found = source.stat()
    except OSError as error:
        raise UnreadableError(source, found=error.strerror or str(error)) from None
    return found.st_size, found.st_mtime_ns


def _checksum(*files: Path) -> str:
    digest = xxhash.xxh3_128()
    for file in files:
        digest.update(file.read_bytes())
    return digest.hexdigest()
