"""Split sources into a dataset: plan, run the graph, write the manifest, publish."""

from __future__ import annotations

import dataclasses
import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from msgspec.structs import replace
from rich.console import Console

from sharder.config import SplitConfig
from sharder.dataset.kept import save_kept
from sharder.dataset.verify import require_manifest
from sharder.disk.room import check_room
from sharder.disk.staging import Staging
from sharder.disk.target import hidden_dir, staging
from sharder.graph.assign import SIDES
from sharder.graph.buckets import ENTRY_BYTES, Buckets
from sharder.graph.write import Shelf, too_many_shards
from sharder.run.base import Base, check_options, check_sources, open_base
from sharder.run.budget import estimate_shards, fit
from sharder.run.finished import is_finished, leave_receipt
from sharder.run.first_pass import check_repeatable, find_cuts, needs_first_pass
from sharder.run.notes import print_doubts, print_found
from sharder.run.passes import write_shards
from sharder.run.resume import Standing, begin_run
from sharder.run.shuffle import ROUND_PARTS
from sharder.run.trial import with_cleaner
from sharder.sides.rule import COLUMN_OPTIONS
from sharder.sources.source import Source, open_sources
from shared.errors import SourceError, no_such_column
from shared.layout import Side
from shared.manifest import MAX_SHARDS, Drop, Manifest, spell_path
from shared.manifest import Source as SourceEntry
from shared.manifest_file import save_manifest
from shared.place import ObjectPath


@dataclass(frozen=True)
class SplitResult:
    """What a run has done.

    Attributes:
        dataset: place of the dataset, of the type of `SplitConfig.out`.
        manifest: of the dataset.
        seconds: that it took.
        earlier_bytes: number of bytes of the sources that earlier runs have read.
        memory_bytes: what the run was allowed to take.
    """

    dataset: Any
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
        TargetError, WorkerError: the dataset cannot be written, or the cluster is lost. What is
            done by then may be kept for the next run; a note of the error says so.
    """
    started = time.monotonic()
    console = console or Console(stderr=True)
    sources = open_checked(config, console)
    asked, config = config, fit(config, sources)
    if is_finished(config, sources, console):
        return SplitResult(
            config.dataset,
            require_manifest(config.dataset),
            time.monotonic() - started,
            earlier_bytes=sum(source.origin.size or 0 for source in sources),
            memory_bytes=asked.memory_bytes,
        )
    if config.scheduler is not None:
        config = dataclasses.replace(config, out=config.out.absolute())  # others write there
    with staging(
        config.dataset, overwrite=config.overwrite, append=config.append, restart=config.restart
    ) as staged:
        base: Base | None = None
        if config.append and isinstance(config.dataset, Path):
            base = open_base(config.dataset)
        if base is not None:
            check_sources(sources, base)
        standing = begin_run(sources, staged, config, console, base)
        check_disk(sources, config, standing)
        if needs_first_pass(standing.split):
            standing.split = find_cuts(sources, config.split, config, staged.dataset, console)
        shelf = Shelf(
            dataset=staged.shards,
            header_line=(base or sources[0]).header_line,
            rows_per_shard=config.rows_per_shard,
        )
        write_shards(sources, staged, shelf, config, standing, console)
        manifest = _describe(sources, staged, config, standing, base)
        save_manifest(manifest, staged.dataset)
        leave_receipt(config, sources, staged)
    seconds = time.monotonic() - started
    return SplitResult(asked.dataset, manifest, seconds, standing.earlier_bytes, asked.memory_bytes)


def open_checked(config: SplitConfig, console: Console) -> tuple[Source, ...]:
    """Open the sources, say what was found, and refuse what cannot be split.

    Raises:
        ConfigError: there is no column to split by, the cleaning fails, or the dataset to append to
            was made with other options.
        ContractError: there is no dataset to append to.
        SourceError: the sources cannot be split.
    """
    if config.append:
        check_options(config)
    sources = open_sources(
        config.sources,
        encoding=config.known_encoding,
        dialect=config.known_dialect,
        columns=config.columns,
        max_record_bytes=config.max_record_bytes,
    )
    print_found(sources, config, console)
    print_doubts(sources, console)
    if config.clean is not None:
        sources = with_cleaner(sources, config.clean, config.max_record_bytes)
    split, header = config.split, sources[0].header
    if split.column is not None and split.column not in header:
        option = COLUMN_OPTIONS[split.by]
        raise no_such_column(f"{option} {split.column}", split.column, header)
    if needs_first_pass(split) and not config.append:
        check_repeatable(sources)
    return sources


def check_disk(
    sources: Sequence[Source], config: SplitConfig, standing: Standing | None = None
) -> None:
    """Refuse what surely has no room; of a stream, only what it has packed is known.

    Args:
        sources: of the run.
        config: of the run.
        standing: what an earlier run has written takes no more room.

    Raises:
        TargetError: too few bytes or inodes are free, or there are too many shards.
    """
    data_bytes = sum(source.origin.size or 0 for source in sources)
    shards = estimate_shards(config, sources)
    needed = data_bytes + shards * len(sources[0].header_line)
    shuffled = shuffle_bytes(config, data_bytes, shards * config.rows_per_shard)
    if standing is not None:
        needed -= standing.shards.bytes
        shards = max(shards - standing.shards.count, 0)
        if standing.buckets is not None:
            shuffled -= standing.buckets.left_bytes(standing.gathered)
    if isinstance(config.out, ObjectPath):  # what room it has, nobody knows
        check_room(hidden_dir(config.dataset), bytes_=max(shuffled, 0), files=0)
    else:
        check_room(config.out, bytes_=max(needed + shuffled, 0), files=shards)
    check_count(sources, config)


def shuffle_bytes(config: SplitConfig, data_bytes: int, records: int) -> int:
    """Return how many bytes a shuffle takes for a while, beside the shards."""
    if not config.shuffle:
        return 0
    # What was gathered of the buckets is removed behind each round.
    round_bytes = ROUND_PARTS * Buckets.begin(data_bytes, config.block_bytes).part_bytes
    return min(data_bytes, round_bytes) + records * ENTRY_BYTES


def check_count(sources: Sequence[Source], config: SplitConfig) -> None:
    """Refuse more shards than a manifest can list: no need to read it all to find that out.

    Raises:
        ConfigError: there are too many.
    """
    if (shards := estimate_shards(config, sources)) > len(SIDES) * MAX_SHARDS:
        raise too_many_shards(shards)


def check_training(name: str, training: int, records: int, rejected: int) -> None:
    """Refuse sources of which no record goes to the training side.

    Raises:
        SourceError: there is none.
    """
    if not training:
        raise SourceError(
            name,
            expected="records for the training side",
            found=f"{records} in all, {rejected} of them rejected, none for training",
            hint="lower --validate-fraction, or take more records",
        )


def _describe(
    sources: tuple[Source, ...],
    staged: Staging,
    config: SplitConfig,
    standing: Standing,
    base: Base | None,
) -> Manifest:
    """Return the manifest of what was written, and write what another drop goes on from."""
    earlier = base.manifest.drops if base else ()
    first = sources[0]
    state, shards, ledger = standing.state, standing.shards, standing.state.ledger
    sides = {
        side: replace(
            shards.side(index, state.numbering.sides[index], config.rows_per_shard),
            **ledger.census.facts(side, standing.split),
        )
        for index, side in enumerate(SIDES)
        if side is not Side.TEST or config.test_fraction or config.test_from
    }
    check_training(first.name, sides[Side.TRAIN].records, ledger.records, ledger.rejected)
    manifest = Manifest(
        name=base.manifest.name if base else config.name,
        drops=(
            *earlier,
            Drop(
                sources=tuple(map(_describe_source, sources)),
                records=ledger.records,
                rejected=ledger.rejected,
                dropped=ledger.dropped,
            ),
        ),
        header=first.header,
        rows_per_shard=config.rows_per_shard,
        split=standing.split,
        cleaning=None if first.cleaner is None else first.cleaner.code,
        rejected_files=ledger.measure(),
        sides=sides,
        columns=None,  # to come
    )
    save_kept(state, manifest, staged.dataset)
    return replace(manifest, columns=state.profile.columns() if state.profile else None)


def _describe_source(source: Source) -> SourceEntry:
    return SourceEntry(
        path=spell_path(source.name),
        bytes=source.origin.size or 0,
        compression=source.compression,
        encoding=source.encoding.name,
        dialect=source.dialect,
        has_header=source.has_header,
        ends=source.ends,
    )
