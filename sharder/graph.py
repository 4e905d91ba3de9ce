"""The split as one Dask graph: five steps a block, and three chains through the blocks.

    read ──> align ──> inspect ──> number ──> write
              │ chain 1              │ chain 2    and chain 3: the ledger, behind inspect

A block is read only when the block `window` places before it is finished. This edge is what
bounds the memory, under any scheduler: however large the source, no more blocks are under way.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import partial
from pathlib import Path
from typing import Any

from sharder.align import Alignment, align, begin
from sharder.config import SplitConfig
from sharder.inspect import inspect
from sharder.ledger import Ledger
from sharder.number import Numbering, number
from sharder.scan import Scan, scan
from sharder.source import Piece, SourceFile
from sharder.write import write

# A task's key is its step and its block.
Key = tuple[str, int]
Graph = dict[Key, Any]

READ, BEGIN, ALIGN, INSPECT = "read", "begin", "align", "inspect"
NUMBER, LEDGER, WRITE = "number", "ledger", "write"


def build(pieces: Sequence[Piece], ledger: Ledger, dataset: Path, config: SplitConfig) -> Graph:
    """Build the graph of a run.

    A plain dict, Dask's own form: `delayed` would copy the chain so far for each of its links.

    Args:
        pieces: of the sources, in order.
        ledger: with no record yet.
        dataset: directory to write to.
        config: of the run.

    Returns:
        A Dask graph. `(WRITE, i)` is the list of the shards written for block i, `(NUMBER, i)`
        and `(LEDGER, i)` are the numbering and the ledger behind it.
    """
    # A block under work for each worker, and one at each end of it: read ahead, or being written.
    window = config.workers + 1
    first = pieces[0].source
    rows = config.rows_per_shard
    # What stands before block 0.
    graph: Graph = {
        (ALIGN, -1): begin(),
        (NUMBER, -1): Numbering(),
        (LEDGER, -1): ledger,
    }

    def add(step: str, index: int, function: Callable[..., Any], *needs: Key, **bound: Any) -> Key:
        graph[step, index] = (partial(function, **bound), *needs)
        return step, index

    for index, piece in enumerate(pieces):
        path = piece.source.path
        before: Key = (ALIGN, index - 1)
        if piece.first:
            before = add(BEGIN, index, _begin_source, before, source=piece.source)
        finished: list[Key] = []
        if index >= window:
            finished = [(WRITE, index - window), (LEDGER, index - window)]
        read = add(READ, index, _read, *finished, piece=piece)
        limit = config.max_record_bytes
        aligned = add(ALIGN, index, align, read, before, source=path, max_record_bytes=limit)
        block = add(
            *(INSPECT, index, inspect, read, before, aligned),
            source=path,
            header=first.header,
            config=config,
        )
        add(LEDGER, index, Ledger.add, (LEDGER, index - 1), block)
        add(NUMBER, index, number, block, (NUMBER, index - 1), rows_per_shard=rows)
        add(
            *(WRITE, index, write, block, (NUMBER, index - 1)),
            dataset=dataset,
            header_line=first.header_line,
            rows_per_shard=rows,
        )
    return graph


def _read(*_finished: object, piece: Piece) -> Scan:
    return scan(piece.read(), last=piece.last)


def _begin_source(before: Alignment, *, source: SourceFile) -> Alignment:
    return begin(offset=source.data_offset, lines=source.data_lines, records=before.records)
