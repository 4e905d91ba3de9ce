"""Split sources into a dataset: plan, run the graph, write the manifest, publish."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing
from dataclasses import dataclass
from functools import partial
from itertools import chain, islice
from pathlib import Path
from typing import Any

import dask.threaded
from msgspec.structs import replace
from rich.console import Console

from sharder.assign import SIDES, Block
from sharder.buckets import ENTRY_BYTES, Buckets, scatter
from sharder.budget import estimate_shards, fit
from sharder.codec import AUTO, codec_name
from sharder.config import SplitConfig
from sharder.encoding import Encoding
from sharder.first_pass import check_repeatable, find_cuts, needs_first_pass
from sharder.graph import State, build
from sharder.inspect import Records
from sharder.piece import cut_rounds
from sharder.pool import threads
from sharder.progress import ProgressCallback, print_doubts, print_encodings
from sharder.resume import Standing, begin_run
from sharder.rule import COLUMN_OPTIONS
from sharder.shuffle import ROUND_PARTS, gather_all
from sharder.source import Source, open_sources
from sharder.target import Staging, check_room, staging
from sharder.write import write_left_over
from shared.errors import ConfigError, SourceError
from shared.layout import Side
from shared.manifest import Manifest, save_manifest, spell_path
from shared.manifest import Source as SourceEntry


@dataclass(frozen=True)
class SplitResult:
    """What a run has done.

    Attributes:
        dataset: directory of the dataset.
        manifest: of the dataset.
        seconds: that it took.
        earlier_bytes: number of bytes of the sources that earlier runs have read.
        memory_bytes: what the run was allowed to take.
    """

    dataset: Path
    manifest: Manifest
    seconds: float
    earlier_bytes: int = 0
    memory_bytes: int | None = None


def run(config: SplitConfig, console: Console | None = None) -> SplitResult:
    """Split the sources into a dataset.

    Args:
        config: what to do.
        console: where to show progress; stderr by default.

    Raises:
        ConfigError: there is no column to split by, or it has too many classes.
        SourceError: the sources cannot be split; nothing is left behind.
        TargetError: the dataset cannot be written. What is done by then may be kept for the next
            run; a note of the error says so.
    """
    started = time.monotonic()
    console = console or Console(stderr=True)
    sources = open_checked(config, console)
    asked, config = config, fit(config, sources)
    with staging(config.dataset, overwrite=config.overwrite) as staged:
        standing = begin_run(sources, staged, config, console)
        _check_room(sources, config, written_bytes=standing.shards.bytes)
        if needs_first_pass(standing.split):
            standing.split = find_cuts(sources, config.split, config, staged.dataset, console)
        with threads(config.workers, sources) as pool:
            _read_all(sources, staged, config, standing, pool, console)
            if standing.buckets is not None:
                header_line = sources[0].header_line
                gather_all(standing, staged, config, header_line, pool, console)
        manifest = _finish(sources, staged, config, standing)
        save_manifest(manifest, staged.dataset)
    seconds = time.monotonic() - started
    return SplitResult(
        config.dataset, manifest, seconds, standing.earlier_bytes, asked.memory_bytes
    )


def open_checked(config: SplitConfig, console: Console) -> tuple[Source, ...]:
    """Open the sources, say what was found, and refuse what cannot be split.

    Raises:
        ConfigError: there is no column to split by.
        SourceError: the sources cannot be split.
    """
    encoding = None if config.encoding == AUTO else Encoding(codec_name(config.encoding))
    sources = open_sources(
        config.sources,
        encoding=encoding,
        dialect=config.dialect,
        columns=config.columns,
        max_record_bytes=config.max_record_bytes,
    )
    if not encoding:
        print_encodings(sources, console)
    print_doubts(sources, console)
    split, header = config.split, sources[0].header
    if split.column is not None and split.column not in header:
        raise ConfigError(
            f"{COLUMN_OPTIONS[split.by]} {split.column}",
            expected=f"one of the columns {', '.join(header)}",
            found="no such column",
        )
    if needs_first_pass(split):
        check_repeatable(sources)
    return sources


def _check_room(sources: tuple[Source, ...], config: SplitConfig, *, written_bytes: int) -> None:
    """Refuse what surely has no room; of a stream, only what it has packed is known."""
    data_bytes = sum(source.origin.size or 0 for source in sources)
    shards = estimate_shards(config, sources)
    needed = data_bytes + shards * len(sources[0].header_line) - written_bytes
    if config.shuffle:
        # What was gathered of the buckets is removed behind each round.
        round_bytes = ROUND_PARTS * Buckets.begin(data_bytes, config.block_bytes).part_bytes
        needed += min(data_bytes, round_bytes) + shards * config.rows_per_shard * ENTRY_BYTES
    check_room(config.out, bytes_=needed, files=shards)


def _read_all(
    sources: tuple[Source, ...],
    staged: Staging,
    config: SplitConfig,
    standing: Standing,
    pool: ThreadPoolExecutor,
    console: Console,
) -> None:
    """Write all records of the sources to shards, or to the buckets of a shuffle."""
    first = sources[0]
    total_bytes = _sum(source.origin.size for source in sources)
    with (
        closing(cut_rounds(sources, config.block_bytes)) as rounds,
        ProgressCallback(total_bytes, standing.earlier_bytes, console) as shown,
    ):
        for pieces in islice(rounds, standing.rounds, None):
            # Not behind the last round: what is left takes but a moment.
            if standing.has_news:
                standing.save(staged)
            graph, wanted = build(
                *(pieces, standing.state, first, staged.dataset, config, standing.split),
                scatter_to=_scatter_to(standing, staged),
            )
            written, *chains = dask.threaded.get(graph, wanted, pool=pool)
            standing.state = State(*chains)
            if standing.buckets is not None:
                standing.buckets.add(written)
            else:
                standing.shards.add(chain.from_iterable(written))
            standing.rounds += 1
            standing.read_bytes = shown.done_bytes
            standing.has_news = True
    standing.state.ledger.close()


def _scatter_to(standing: Standing, staged: Staging) -> Callable[[Records, Block], Any] | None:
    if standing.buckets is None:
        return None
    bits, seed = standing.buckets.bits, standing.split.seed
    return partial(scatter, directory=staged.buckets, bits=bits, seed=seed)


def _finish(
    sources: tuple[Source, ...], staged: Staging, config: SplitConfig, standing: Standing
) -> Manifest:
    """Write the last shards, and return the manifest."""
    first = sources[0]
    state, shards, ledger = standing.state, standing.shards, standing.state.ledger
    left_over = write_left_over(
        state.numbering, dataset=staged.dataset, header_line=first.header_line
    )
    shards.add(left_over)
    sides = {
        side: replace(
            shards.side(index, state.numbering.sides[index], config.rows_per_shard),
            **ledger.census.facts(side, standing.split),
        )
        for index, side in enumerate(SIDES)
        if side is not Side.TEST or config.test_fraction or config.test_from
    }
    if not sides[Side.TRAIN].records:
        raise SourceError(
            first.name,
            expected="records for the training side",
            found=f"{ledger.records} in all, {ledger.rejected} of them rejected, none for training",
            hint="lower --validate-fraction, or take more records",
        )
    return Manifest(
        name=config.name,
        sources=tuple(
            SourceEntry(
                path=spell_path(source.name),
                bytes=source.origin.size or 0,
                compression=source.compression,
                encoding=source.encoding.name,
            )
            for source in sources
        ),
        header=first.header,
        rows_per_shard=config.rows_per_shard,
        split=standing.split,
        records=ledger.records,
        rejected=ledger.rejected,
        rejected_files=ledger.measure(),
        sides=sides,
        columns=state.profile.columns() if state.profile else None,
    )


def _sum(sizes: Iterable[int | None]) -> int | None:
    """Return the sum of sizes; None where one of them is not known."""
    known = list(sizes)
    return None if None in known else sum(size or 0 for size in known)
