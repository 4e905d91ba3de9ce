"""The graph of a run, built as the run would build it, and not run."""

from __future__ import annotations

import time
from dataclasses import dataclass
from pathlib import Path

from rich.console import Console

from sharder.config import SplitConfig
from sharder.graph.build import build
from sharder.graph.write import Shelf
from sharder.run.budget import estimate_shards, fit, foresee
from sharder.run.resume import begin_state
from sharder.sources.piece import cut_rounds
from sharder.split import check_count, open_checked


@dataclass(frozen=True, kw_only=True)
class Plan:
    """What a run would do.

    Attributes:
        config: with the size of the blocks, and the number of workers.
        memory_bytes: that the run takes at most.
        bytes: size of the sources, as they are packed; those of a pipe are not known.
        streams: names of the sources that are read in order, so that the number of their blocks
            is known only when they are read; they are not among the blocks and tasks.
        shards: about how many there would be.
        blocks, tasks: number of them in all graphs.
        rounds: number of graphs.
        largest: number of tasks of the largest graph.
        seconds: that it took to build them.
    """

    config: SplitConfig
    memory_bytes: int
    bytes: int
    streams: tuple[str, ...]
    shards: int
    blocks: int
    tasks: int
    rounds: int
    largest: int
    seconds: float


def plan(config: SplitConfig, console: Console) -> Plan:
    """Open the sources and build the graph of every round, one after the other.

    Raises:
        ConfigError, SourceError: as the run would.
    """
    sources = open_checked(config, console)
    check_count(sources, config)
    config = fit(config, sources)
    state = begin_state(sources, Path(), config)
    first = sources[0]
    shelf = Shelf(
        dataset=config.dataset,
        header_line=first.header_line,
        rows_per_shard=config.rows_per_shard,
    )
    in_pieces = [source for source in sources if source.has_ranges]
    blocks, tasks = [], []
    started = time.monotonic()
    for pieces in cut_rounds(in_pieces, config.block_bytes):
        graph, _ = build(pieces, state, first.header, shelf, config, config.split)
        blocks.append(len(pieces))
        tasks.append(len(graph))
    return Plan(
        config=config,
        memory_bytes=foresee(config, sources),
        bytes=sum(source.origin.size or 0 for source in sources),
        streams=tuple(source.name for source in sources if not source.has_ranges),
        shards=estimate_shards(config, sources),
        blocks=sum(blocks),
        tasks=sum(tasks),
        rounds=len(tasks),
        largest=max(tasks, default=0),
        seconds=time.monotonic() - started,
    )
