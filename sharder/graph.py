"""The split as one Dask graph: eight steps a block, and four chains through the blocks.

    read ──> scan ──> align ──> inspect ─┬─> assign ─┬─> number ──> write
      │                │ chain 1         │     │     │    │ chain 2
      └ another chain, where             │     │     └─> ledger
        the source is a stream           │     │          │ chain 3
                                         │     └ count, a chain where the split is by class
                                         └─> profile ──> add up
                                                          │ chain 4

A block is read only when the block `window` places before it is finished. This edge is what
bounds the memory, under any scheduler: however large the source, no more blocks are under way.
A stream differs from a file in one more edge: a block is read when the one before it was read.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

from sharder.align import Alignment, align, begin
from sharder.assign import assign
from sharder.config import SplitConfig
from sharder.dialect import Dialect
from sharder.inspect import Records, inspect
from sharder.ledger import Ledger
from sharder.number import Numbering, number
from sharder.piece import Piece
from sharder.scan import Scan, scan
from sharder.source import Source
from sharder.strata import Classes, Strata
from sharder.stream import Chunk
from sharder.write import write

if TYPE_CHECKING:
    from shared.profile import Profile

# A task's key is its step and its block.
Key = tuple[str, int]
Graph = dict[Key, Any]

READ, SCAN, BEGIN, ALIGN, INSPECT = "read", "scan", "begin", "align", "inspect"
COUNT, ASSIGN, NUMBER, LEDGER, WRITE = "count", "assign", "number", "ledger", "write"
PROFILE, ADD_UP = "profile", "add up"


@dataclass(frozen=True)
class State:
    """Where the chains are between two blocks: all that the later blocks need to know."""

    alignment: Alignment
    strata: Strata
    numbering: Numbering
    ledger: Ledger
    profile: Profile | None


def build(
    pieces: Sequence[Piece], before: State, first: Source, dataset: Path, config: SplitConfig
) -> tuple[Graph, list[Any]]:
    """Build the graph of some blocks that follow each other.

    A plain dict, Dask's own form: `delayed` would copy the chain so far for each of its links.

    Args:
        pieces: of the sources, in order.
        before: state before the first of them.
        first: the first source, whose header all shards get.
        dataset: directory to write to.
        config: of the run.

    Returns:
        A Dask graph, and the keys to ask for: those of the shards written for each block (a list
        of lists), and that of each item of the state behind the blocks, in their order.
    """
    # A block under work for each worker, and one that is read ahead.
    window = config.workers + 1
    rows, split = config.rows_per_shard, config.split
    graph: Graph = {
        (ALIGN, -1): before.alignment,
        (COUNT, -1): before.strata,
        (NUMBER, -1): before.numbering,
        (LEDGER, -1): before.ledger,
        (ADD_UP, -1): before.profile,
    }
    if before.profile is not None:
        # Not at the top: see there.
        from sharder.profile import add_up, profile

    def add(step: str, index: int, function: Callable[..., Any], *needs: Key, **bound: Any) -> Key:
        graph[step, index] = (partial(function, **bound), *needs)
        return step, index

    for index, piece in enumerate(pieces):
        source: dict[str, Any] = {"source": piece.source.name, "encoding": piece.source.encoding}
        previous: Key = (ALIGN, index - 1)
        if piece.first:
            previous = add(BEGIN, index, _begin_source, previous, source=piece.source)
        needed: list[Key] = []
        if index >= window:
            needed = [(step, index - window) for step in (WRITE, LEDGER, ADD_UP)]
        if piece.in_order and not piece.first and index:
            needed.append((READ, index - 1))
        read = add(READ, index, _read, *needed, piece=piece)
        scanned = add(SCAN, index, _scan, read, dialect=piece.source.dialect)
        limit = config.max_record_bytes
        aligned = add(ALIGN, index, align, scanned, previous, **source, max_record_bytes=limit)
        records = add(
            *(INSPECT, index, inspect, scanned, previous, aligned),
            **source,
            header=first.header,
            split=split,
            max_record_bytes=limit,
        )
        add(COUNT, index, _count, records, (COUNT, index - 1), column=split.column)
        block = add(ASSIGN, index, assign, records, (COUNT, index - 1), split=split)
        add(LEDGER, index, Ledger.add, (LEDGER, index - 1), records, block)
        if before.profile is None:
            graph[ADD_UP, index] = None
        else:
            profiled = add(PROFILE, index, profile, records, header=first.header)
            add(ADD_UP, index, add_up, (ADD_UP, index - 1), profiled)
        add(NUMBER, index, number, block, (NUMBER, index - 1), rows_per_shard=rows)
        add(
            *(WRITE, index, write, block, (NUMBER, index - 1)),
            dataset=dataset,
            header_line=first.header_line,
            rows_per_shard=rows,
        )
    last = len(pieces) - 1
    writes = [(WRITE, index) for index in range(len(pieces))]
    return graph, [writes, *((step, last) for step in (ALIGN, COUNT, NUMBER, LEDGER, ADD_UP))]


def _read(*_needed: object, piece: Piece) -> Chunk:
    return piece.read()


def _scan(chunk: Chunk, *, dialect: Dialect) -> Scan:
    return scan(chunk.data, last=chunk.last, offset=chunk.offset, dialect=dialect)


def _begin_source(before: Alignment, *, source: Source) -> Alignment:
    return begin(lines=source.data_lines, records=before.records)


def _count(records: Records, before: Strata, *, column: str) -> Strata:
    return before.add(records.keys, column=column) if isinstance(records.keys, Classes) else before
