"""The second pass of a shuffled split: from the buckets into the shards, in the order of the keys.

    gather ──> number ──> write
                │ chain

A part is gathered only when the part `window` places before it is written, as in the first pass.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from functools import partial
from itertools import chain
from typing import Any

from rich.console import Console

from sharder.config import SplitConfig
from sharder.disk.staging import Staging
from sharder.graph.assign import Block
from sharder.graph.buckets import ENTRY_BYTES, Buckets, Part, bucket_path, gather
from sharder.graph.build import NUMBER, WRITE
from sharder.graph.number import Numbering, number
from sharder.graph.pool import Pool
from sharder.graph.reading import Graph
from sharder.graph.write import Shelf, write
from sharder.run.pace import Pace
from sharder.run.progress import ProgressCallback
from sharder.run.resume import Standing

GATHER = "gather"

# Parts in one graph at most: so many wait on disk to be removed.
ROUND_PARTS = 64


def gather_all(
    buckets: Buckets,
    standing: Standing,
    staged: Staging,
    shelf: Shelf,
    config: SplitConfig,
    pace: Pace,
    pool: Pool,
    console: Console,
) -> None:
    """Write the shards of all records that were scattered, and remove the buckets behind it.

    Raises:
        TargetError: the shards cannot be written.
    """
    parts, total = buckets.parts(), sum(buckets.sizes)
    done = total * standing.gathered // max(len(parts), 1)
    with ProgressCallback(*(total, done, console), task="shuffling", step=GATHER, measure=_measure):
        while standing.gathered < len(parts) and not shelf.is_full(standing.state.numbering):
            if pace.is_due(ROUND_PARTS):
                with pace.checkpoint():
                    standing.save(staged)
                left = {part.bucket for part in parts[standing.gathered :]}
                for bucket in {part.bucket for part in parts[: standing.gathered]} - left:
                    bucket_path(staged.buckets, bucket).unlink(missing_ok=True)
            size = pace.next_round(ROUND_PARTS)
            some = parts[standing.gathered : standing.gathered + size]
            graph, wanted = _build(some, standing.state.numbering, staged, shelf, config)
            written, numbering = pool.get(graph, wanted)
            standing.state = replace(standing.state, numbering=numbering)
            standing.shards.add(chain.from_iterable(written))
            standing.gathered += len(some)
            pace.add(len(some))


def _build(
    parts: Sequence[Part],
    before: Numbering,
    staged: Staging,
    shelf: Shelf,
    config: SplitConfig,
) -> tuple[Graph, list[Any]]:
    window, rows = config.blocks_under_way, shelf.rows_per_shard
    graph: Graph = {(NUMBER, -1): before}
    for index, part in enumerate(parts):
        needed = [(WRITE, index - window)] if index >= window else []
        graph[GATHER, index] = (partial(gather, part=part, directory=staged.buckets), *needed)
        block, previous = (GATHER, index), (NUMBER, index - 1)
        graph[NUMBER, index] = (partial(number, rows_per_shard=rows), block, previous)
        graph[WRITE, index] = (partial(write, shelf=shelf), block, previous)
    writes = [(WRITE, index) for index in range(len(parts))]
    return graph, [writes, (NUMBER, len(parts) - 1)]


def _measure(block: Block) -> int:
    return len(block.data) + len(block.sides) * ENTRY_BYTES
