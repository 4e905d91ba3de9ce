"""Split sources into a dataset: plan, run the graph, write the manifest, publish."""

from __future__ import annotations

import time
from array import array
from collections.abc import Iterable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing, contextmanager
from dataclasses import dataclass
from itertools import chain
from pathlib import Path

import dask.threaded
from rich.console import Console

from sharder.align import begin
from sharder.codec import AUTO, codec_name
from sharder.config import SplitConfig
from sharder.dialect import Dialect
from sharder.encoding import Encoding
from sharder.graph import State, build
from sharder.inspect import SIDES
from sharder.ledger import Ledger
from sharder.number import Numbering, SideNumbering
from sharder.piece import cut_rounds
from sharder.progress import ProgressCallback, print_doubts, print_encodings
from sharder.source import Source, open_sources
from sharder.target import check_room, staging
from sharder.write import Shard, write_left_over
from shared.errors import SourceError
from shared.layout import Side
from shared.manifest import Manifest, Shards, Split, save_manifest, spell_path
from shared.manifest import Source as SourceEntry


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
    console = console or Console(stderr=True)
    encoding = None if config.encoding == AUTO else Encoding(codec_name(config.encoding))
    sources = open_sources(
        config.sources,
        encoding=encoding,
        dialect=Dialect(config.delimiter, config.quote_char),
        columns=config.columns,
        max_record_bytes=config.max_record_bytes,
    )
    if not encoding:
        print_encodings(sources, console)
    print_doubts(sources, console)
    _check_room(sources, config)
    with staging(config.dataset, overwrite=config.overwrite) as staged:
        manifest = _split(sources, staged, config, console)
        save_manifest(manifest, staged)
    return SplitResult(config.dataset, manifest, time.monotonic() - started)


def _check_room(sources: tuple[Source, ...], config: SplitConfig) -> None:
    """Refuse what surely has no room; of a stream, only what it has packed is known."""
    data_bytes = sum(source.origin.size or 0 for source in sources)
    record_bytes = next(source.record_bytes for source in sources if source.record_bytes)
    shards = data_bytes // record_bytes // config.rows_per_shard + len(SIDES)
    check_room(config.out, bytes_=data_bytes + shards * len(sources[0].header_line), files=shards)


def _split(
    sources: tuple[Source, ...], staged: Path, config: SplitConfig, console: Console
) -> Manifest:
    first = sources[0]
    ledger = Ledger(
        first.header,
        staged,
        data_bytes=_sum(source.data_bytes for source in sources),
        max_rejected=config.max_rejected,
    )
    profile = None
    if config.profile:
        # Not before now: without a profile, a run does not wait for Arrow to be imported.
        from sharder.profile import begin_profile

        profile = begin_profile(first.header)
    state = State(alignment=begin(), numbering=Numbering(), ledger=ledger, profile=profile)
    shards = _ShardTable()
    total_bytes = _sum(source.origin.size for source in sources)
    with (
        closing(cut_rounds(sources, config.block_bytes)) as rounds,
        _workers(config.workers, sources) as pool,
        ProgressCallback(total_bytes, console),
    ):
        for pieces in rounds:
            graph, wanted = build(pieces, state, first, staged, config)
            written, *chains = dask.threaded.get(graph, wanted, pool=pool)
            alignment, numbering, ledger, profile = chains
            state = State(alignment=alignment, numbering=numbering, ledger=ledger, profile=profile)
            shards.add(chain.from_iterable(written))
    ledger.close()
    shards.add(write_left_over(state.numbering, dataset=staged, header_line=first.header_line))
    sides = {
        side: shards.side(index, state.numbering.sides[index], config.rows_per_shard)
        for index, side in enumerate(SIDES)
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
        split=Split(seed=config.seed, validate_fraction=config.validate_fraction),
        records=ledger.records,
        rejected=ledger.rejected,
        sides=sides,
        columns=profile.columns() if profile else None,
    )


@contextmanager
def _workers(number: int, sources: Sequence[Source]) -> Iterator[ThreadPoolExecutor]:
    """Give a pool of threads; no task is under way behind it, after an error neither."""
    pool = ThreadPoolExecutor(number)
    try:
        yield pool
    finally:
        for source in sources:  # or a read from a silent pipe would never end
            source.origin.interrupt()
        pool.shutdown(cancel_futures=True)


def _sum(sizes: Iterable[int | None]) -> int | None:
    """Return the sum of sizes; None where one of them is not known."""
    known = list(sizes)
    return None if None in known else sum(size or 0 for size in known)


class _ShardTable:
    """Sizes and checksums of all shards, 24 bytes each: there may be millions."""

    def __init__(self) -> None:
        self._sizes = [array("q") for _ in SIDES]
        self._checksums = [bytearray() for _ in SIDES]

    def add(self, shards: Iterable[Shard]) -> None:
        """Add shards in the order of their numbers."""
        for shard in shards:
            self._sizes[shard.side].append(shard.size)
            self._checksums[shard.side] += shard.xxh3_128

    def side(self, index: int, numbering: SideNumbering, rows_per_shard: int) -> Shards:
        """Return the shards of a side as the manifest has them."""
        checksums = self._checksums[index].hex()
        return Shards(
            records=numbering.shards * rows_per_shard + numbering.n_left_over,
            bytes=tuple(self._sizes[index]),
            xxh3_128=tuple(checksums[i : i + 32] for i in range(0, len(checksums), 32)),
        )
