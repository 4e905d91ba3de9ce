"""The passes of a run: the sources once, graph after graph, and the buckets once if it shuffles."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from contextlib import AbstractContextManager, closing
from dataclasses import replace
from functools import partial
from itertools import chain
from typing import Any

from rich.console import Console

from sharder.config import SplitConfig
from sharder.disk.staging import Staging
from sharder.graph.assign import Block
from sharder.graph.buckets import scatter
from sharder.graph.build import State, build
from sharder.graph.inspect import Records
from sharder.graph.pool import Pool, threads
from sharder.graph.write import Shelf, write_left_over
from sharder.run.pace import Pace
from sharder.run.progress import ProgressCallback, say
from sharder.run.resume import Standing
from sharder.run.shuffle import gather_all
from sharder.sources.piece import ROUND_PIECES, cut_rounds
from sharder.sources.source import Source
from shared.errors import ConfigError


def write_shards(
    sources: Sequence[Source],
    staged: Staging,
    shelf: Shelf,
    config: SplitConfig,
    standing: Standing,
    console: Console,
) -> None:
    """Write all records of the sources to shards, from where a run stands on.

    Args:
        sources: with the same header.
        staged: where the run keeps what it needs on the way.
        shelf: where the shards go; the pass ends early when all that it wants are there.
        config: of the run.
        standing: where it stands; follows.
        console: where to show progress.

    Raises:
        SourceError: the sources cannot be split.
        TargetError: the shards cannot be written.
    """
    with _open_pool(config, sources, staged, console) as pool, staged.synced_early():
        config, pace = replace(config, workers=pool.workers), Pace(config.checkpoint_every)
        _read_all(sources, staged, shelf, config, standing, pace, pool, console)
        standing.state.ledger.close()
        if standing.buckets is not None:
            gather_all(standing.buckets, standing, staged, shelf, config, pace, pool, console)
    standing.shards.add(write_left_over(standing.state.numbering, shelf))


def _open_pool(
    config: SplitConfig, sources: Sequence[Source], staged: Staging, console: Console
) -> AbstractContextManager[Pool]:
    # Not at the top: few runs need it.
    try:
        if config.dashboard:
            from sharder.graph.dashboard import watch

            return watch(config.workers, sources, staged.dataset, partial(say, console))
        if config.scheduler is not None:
            from sharder.graph.cluster import connect

            return connect(config.scheduler, sources, staged.dataset)
    except ImportError as error:
        packages = "distributed bokeh" if config.dashboard else "distributed"
        raise ConfigError(
            "--dashboard" if config.dashboard else "--scheduler",
            expected=f"what `pip install {packages}` installs",
            found=str(error),
        ) from None
    return threads(config.workers, sources)


def _read_all(
    sources: Sequence[Source],
    staged: Staging,
    shelf: Shelf,
    config: SplitConfig,
    standing: Standing,
    pace: Pace,
    pool: Pool,
    console: Console,
) -> None:
    """Write all records to shards, or to the buckets of a shuffle."""
    header = sources[0].header
    total_bytes = _sum(source.origin.size for source in sources)
    cut = cut_rounds(
        sources,
        config.block_bytes,
        done=standing.blocks,
        next_size=partial(pace.next_round, ROUND_PIECES),
    )
    with (
        closing(cut) as rounds,
        ProgressCallback(total_bytes, standing.earlier_bytes, console) as shown,
    ):
        for pieces in rounds:
            if not shelf.wants_all_records and shelf.is_full(standing.state.numbering):
                break
            # Not behind the last round: what is left takes but a moment.
            if pace.is_due(ROUND_PIECES):
                with pace.checkpoint():
                    standing.save(staged)
            graph, wanted = build(
                *(pieces, standing.state, header, shelf, config, standing.split),
                scatter_to=_scatter_to(standing, staged),
            )
            written, *chains = pool.get(graph, wanted, shown.advance)
            standing.state = State(*chains)
            if standing.buckets is not None:
                standing.buckets.add(written)
            else:
                standing.shards.add(chain.from_iterable(written))
            standing.blocks += len(pieces)
            standing.read_bytes = shown.done_bytes
            pace.add(len(pieces))


def _scatter_to(standing: Standing, staged: Staging) -> Callable[[Records, Block], Any] | None:
    if standing.buckets is None:
        return None
    bits, seed = standing.buckets.bits, standing.split.seed
    return partial(scatter, directory=staged.buckets, bits=bits, seed=seed)


def _sum(sizes: Iterable[int | None]) -> int | None:
    """Return the sum of sizes; None where one of them is not known."""
    known = list(sizes)
    return None if None in known else sum(size or 0 for size in known)
