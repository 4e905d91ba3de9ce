"""Split sources into a dataset: plan, run the graph, write the manifest, publish."""

from __future__ import annotations

import contextlib
import ctypes
import time
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path

import dask.threaded
import pyarrow as pa
from rich.console import Console

from sharder.config import SplitConfig
from sharder.graph import LEDGER, NUMBER, WRITE, build
from sharder.inspect import SIDES
from sharder.ledger import Ledger
from sharder.progress import ProgressCallback
from sharder.source import SourceFile, cut_pieces, open_sources
from sharder.target import check_room, staging
from sharder.write import Shard, write_left_over
from shared.errors import SourceError
from shared.layout import Side
from shared.manifest import Manifest, Shards, Source, Split, save_manifest

# From glibc's malloc.h; elsewhere there is no `mallopt`.
_M_MMAP_THRESHOLD = -3


@dataclass(frozen=True)
class SplitResult:
    """What a run has done.

    Attributes:
        dataset: directory of the dataset.
        manifest: of the dataset.
        seconds: that it took.
    """

    dataset: Path
    manifest: Manifest
    seconds: float


def run(config: SplitConfig, console: Console | None = None) -> SplitResult:
    """Split the sources into a dataset.

    Args:
        config: what to do.
        console: where to show progress; stderr by default.

    Raises:
        SourceError: the sources cannot be split; nothing is left behind.
        TargetError: the dataset cannot be written; nothing is left behind.
    """
    started = time.monotonic()
    sources = open_sources(config.sources, max_record_bytes=config.max_record_bytes)
    _check_room(sources, config)
    with staging(config.dataset, overwrite=config.overwrite) as staged:
        manifest = _split(sources, staged, config, console or Console(stderr=True))
        save_manifest(manifest, staged)
    return SplitResult(config.dataset, manifest, time.monotonic() - started)


def _check_room(sources: tuple[SourceFile, ...], config: SplitConfig) -> None:
    data_bytes = sum(source.size for source in sources)
    record_bytes = next(source.record_bytes for source in sources if source.record_bytes)
    shards = data_bytes // record_bytes // config.rows_per_shard + len(SIDES)
    check_room(config.out, bytes_=data_bytes + shards * len(sources[0].header_line), files=shards)


def _split(
    sources: tuple[SourceFile, ...], staged: Path, config: SplitConfig, console: Console
) -> Manifest:
    first = sources[0]
    pieces = list(cut_pieces(sources, config.block_bytes))
    ledger = Ledger(
        first.header,
        staged,
        data_bytes=sum(piece.size for piece in pieces),
        max_rejected=config.max_rejected,
    )
    graph = build(pieces, ledger, staged, config)
    last = len(pieces) - 1
    wanted = [[(WRITE, i) for i in range(len(pieces))], (NUMBER, last), (LEDGER, last)]
    # Arrow's own threads would come on top of the workers.
    pa.set_cpu_count(1)
    _return_large_buffers()
    pool = ThreadPoolExecutor(config.workers)
    try:
        with ProgressCallback(pieces, console):
            written, numbering, ledger = dask.threaded.get(graph, wanted, pool=pool)
    finally:
        # After an error too, wait for the tasks under way: they write into the staging directory.
        pool.shutdown(cancel_futures=True)
    columns = ledger.close(profile=config.profile)
    shards = [shard for block in written for shard in block]
    shards += write_left_over(numbering, dataset=staged, header_line=first.header_line)
    sides = {side: _collect(shards, index) for index, side in enumerate(SIDES)}
    if not sides[Side.TRAIN].records:
        raise SourceError(
            first.path,
            expected="records for the training side",
            found=f"{ledger.records} in all, none of which is kept for training",
            hint="lower --validate-fraction, or take more records",
        )
    return Manifest(
        name=config.name,
        sources=tuple(Source(path=str(source.path), bytes=source.size) for source in sources),
        header=first.header,
        rows_per_shard=config.rows_per_shard,
        split=Split(seed=config.seed, validate_fraction=config.validate_fraction),
        records=ledger.records,
        rejected=ledger.rejected,
        sides=sides,
        columns=columns,
    )


def _return_large_buffers() -> None:
    """Have the C library give the memory of blocks back when they are done.

    glibc would keep buffers of their size from the second one on, in pools of each thread: some
    40 MiB a worker.
    """
    with contextlib.suppress(OSError, AttributeError):
        ctypes.CDLL(None).mallopt(_M_MMAP_THRESHOLD, 1 << 20)


def _collect(shards: list[Shard], side: int) -> Shards:
    own = sorted((shard for shard in shards if shard.side == side), key=lambda s: s.number)
    return Shards(
        records=sum(shard.records for shard in own),
        bytes=tuple(shard.bytes for shard in own),
        xxh3_128=tuple(shard.xxh3_128 for shard in own),
    )
