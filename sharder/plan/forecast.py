"""What a split would do, as far as a few megabytes of its sources tell: `sharder plan`."""

from __future__ import annotations

import os
import tempfile
import time
from collections.abc import Sequence
from pathlib import Path

import msgspec
import xxhash
from rich.console import Console

from sharder.config import SplitConfig
from sharder.disk.room import Room, find_room
from sharder.disk.target import check_target
from sharder.graph.assign import SIDES
from sharder.graph.ledger import Ledger
from sharder.plan.leak import tell
from sharder.plan.survey import Survey, survey
from sharder.plan.warn import find_warnings
from sharder.run.budget import fit, foresee
from sharder.run.first_pass import needs_first_pass
from sharder.sources.source import Source
from sharder.split import check_disk, check_training, open_checked, shuffle_bytes
from shared.block_profile import profile_block
from shared.errors import no_such_column
from shared.layout import Side
from shared.manifest import spell_path
from shared.place import ObjectPath
from shared.profile import Profile
from shared.schema import Column
from shared.values import read_text

# Dask, the interpreter's lock and the kernel take this share of the workers' time, and a first pass
# this share of the second. Measured on logs of 100 MB, 2 workers.
_OVERHEAD = 0.3
_START_SECONDS = 0.3
_FIRST_PASS = 0.4


class PlannedSource(msgspec.Struct, frozen=True, kw_only=True):
    """What a source is: its size (None if unknown), what it is packed, encoded and written in."""

    path: str
    bytes: int | None
    compression: str | None
    encoding: str
    dialect: str


class Forecast(msgspec.Struct, frozen=True, kw_only=True):
    """What a split would do; all but the sources is expected from what was looked at.

    Attributes:
        sources: in their order.
        places: number of places that were looked at.
        sample_records: number of records there.
        sample_bytes: size of these in the sources, unpacked.
        whole: whether they are all records.
        head_only: whether of a stream only the start was looked at.
        records: number of records; None if the size of a source is not known.
        rejected_share: of them.
        record_bytes: mean size of a record in a shard.
        shards: number of shards of each side; None like `records`, and where times part the sides.
        disk_bytes, inodes: what the shards take.
        free_bytes, free_inodes: what is free where they would be written; None where nobody knows.
        seconds: that it takes; None like `records`.
        bytes_per_second: of the sources, as they are read.
        memory_bytes: that it takes at most.
        columns: profile of the records that were looked at.
        label: that was asked for.
        told: for each column, the share of the label's entropy that it explains alone.
        warnings: what looks as if it was not meant.
    """

    sources: tuple[PlannedSource, ...]
    places: int
    sample_records: int
    sample_bytes: int
    whole: bool
    head_only: bool
    records: int | None
    rejected_share: float
    record_bytes: float
    shards: dict[Side, int] | None
    disk_bytes: int | None
    inodes: int | None
    free_bytes: int | None
    free_inodes: int | None
    seconds: float | None
    bytes_per_second: float
    memory_bytes: int
    columns: tuple[Column, ...]
    label: str | None
    told: dict[str, float] | None
    warnings: tuple[str, ...]


def run(config: SplitConfig, label: str | None = None) -> Forecast:
    """Say what a split would do.

    Args:
        config: of the split.
        label: name of the column that will be predicted, to see which others tell it.

    Raises:
        ConfigError: there is no such column.
        SourceError: the split would be refused for its sources.
        TargetError: the split would be refused for its target.
    """
    # What was detected, and what is doubtful, are in the forecast.
    sources = open_checked(config, Console(quiet=True))
    config = fit(config, sources)
    header = sources[0].header
    if label is not None and label not in header:
        raise no_such_column(f"--label {label}", label, header)
    check_target(config.dataset, overwrite=config.overwrite)
    check_disk(sources, config)
    found = survey(sources, config)
    if found.is_whole:
        _check_whole(found, sources[0], config)

    started = time.thread_time()
    text = b"".join(found.records)
    columns = read_text(text, header) if text else []
    profile = Profile.begin(header)
    if text and config.profile:
        profile.add(profile_block(header, columns))
    seconds = found.work_seconds + time.thread_time() - started + _time_writing(text, config)
    if text and not config.profile:
        profile.add(profile_block(header, columns))
    told = tell(columns, header.index(label)) if label is not None and columns else None
    told_of = dict(zip(header, told, strict=True)) if told else None
    profiled = profile.columns()
    good = found.n_records - len(found.rejected)
    return _expect(
        None if isinstance(config.out, ObjectPath) else find_room(config.out),
        sources,
        found,
        config,
        record_bytes=len(text) / max(good, 1),
        work_seconds=seconds,
        columns=profiled,
        label=label,
        told=told_of,
        warnings=tuple(find_warnings(sources, found, profiled, told_of, config, label)),
    )


def _check_whole(found: Survey, first: Source, config: SplitConfig) -> None:
    """Refuse what the run refuses at its end, when all records are known."""
    records, rejected = found.n_records, len(found.rejected)
    ledger = Ledger.begin(first.header, Path(), data_bytes=None, max_rejected=config.max_rejected)
    ledger.records, ledger.rejected, ledger.shown = records, rejected, found.rejected[:3]
    ledger.close()
    check_training(first.name, records - rejected, records, rejected)


def _time_writing(text: bytes, config: SplitConfig) -> float:
    """Return the CPU time that it takes to write the records of the sample as shards."""
    shards = max(text.count(b"\n") // config.rows_per_shard, 1)
    size = len(text) // shards + 1
    with tempfile.TemporaryDirectory() as directory:
        started = time.thread_time()
        for number in range(shards):
            part = memoryview(text)[number * size : (number + 1) * size]
            xxhash.xxh3_128_digest(part)
            (Path(directory) / str(number)).write_bytes(part)
        return time.thread_time() - started


def _expect(
    room: Room | None,
    sources: Sequence[Source],
    found: Survey,
    config: SplitConfig,
    *,
    record_bytes: float,
    work_seconds: float,
    columns: tuple[Column, ...],
    label: str | None,
    told: dict[str, float] | None,
    warnings: tuple[str, ...],
) -> Forecast:
    """Reckon what all records take from what those of the sample took."""
    records = found.expected_records
    rejected_share = len(found.rejected) / max(found.n_records, 1)
    shards = disk_bytes = inodes = seconds = None
    work_seconds /= min(config.workers, os.cpu_count() or 1) * (1 - _OVERHEAD)
    seconds_per_byte = max(work_seconds, found.read_seconds) / max(found.read_bytes, 1)
    if records is not None:
        good = round(records * (1 - rejected_share))
        shards = _count_shards(good, config)
        inodes = sum(shards.values()) if shards else good // config.rows_per_shard + len(SIDES)
        header_bytes = len(sources[0].header_line)
        disk_bytes = round(good * record_bytes) + inodes * header_bytes
        if room is not None:
            disk_bytes = room.needed(disk_bytes, inodes)
            disk_bytes += shuffle_bytes(config, found.total_bytes or 0, good)
        seconds = _START_SECONDS + seconds_per_byte * (found.total_bytes or found.read_bytes)
        if needs_first_pass(config.split):
            seconds *= 1 + _FIRST_PASS
    return Forecast(
        sources=tuple(
            PlannedSource(
                path=spell_path(source.name),
                bytes=source.origin.size,
                compression=source.compression,
                encoding=source.encoding.label,
                dialect=source.dialect.options,
            )
            for source in sources
        ),
        places=found.places,
        sample_records=found.n_records,
        sample_bytes=found.text_bytes,
        whole=found.is_whole,
        head_only=found.head_only,
        records=records,
        rejected_share=rejected_share,
        record_bytes=record_bytes,
        shards=shards,
        disk_bytes=disk_bytes,
        inodes=inodes,
        free_bytes=room.bytes if room else None,
        free_inodes=room.files if room else None,
        seconds=seconds,
        bytes_per_second=1 / seconds_per_byte if seconds_per_byte else 0.0,
        memory_bytes=foresee(config, sources),
        columns=columns,
        label=label,
        told=told,
        warnings=warnings,
    )


def _count_shards(records: int, config: SplitConfig) -> dict[Side, int] | None:
    split = config.split
    if split.validate_from is not None or split.test_from is not None:
        return None
    validate, test = split.validate_fraction, split.test_fraction
    shares = {Side.TRAIN: 1 - validate - test, Side.VALIDATE: validate, Side.TEST: test}
    return {
        side: -(-round(records * share) // config.rows_per_shard)
        for side, share in shares.items()
        if share
    }
