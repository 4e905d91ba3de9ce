"""The split as one Dask graph: eight steps a block, and four chains through the blocks.

read ──> scan ──> align ──> inspect ─┬─> assign ─┬─> number ──> write
                   │ chain 1         │     │     │    │ chain 2
(reading.py)                         │     │     └─> ledger
                                     │     │          │ chain 3
                                     │     └ count, a chain where the split is by class
                                     └─> profile ──> add up
                                                      │ chain 4

A shuffled split has two passes: in this one, blocks are written to buckets, without numbers.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from sharder.config import SplitConfig
from sharder.graph.assign import Block, assign
from sharder.graph.inspect import Records
from sharder.graph.ledger import Ledger
from sharder.graph.number import Numbering, number
from sharder.graph.reading import ALIGN, Builder, Graph
from sharder.graph.write import Shelf, write
from sharder.records.align import Alignment
from sharder.sides.strata import Classes, Strata
from sharder.sources.piece import Piece
from shared.manifest import Split

if TYPE_CHECKING:
    from shared.profile import Profile

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
    pieces: Sequence[Piece],
    before: State,
    header: Sequence[str],
    shelf: Shelf,
    config: SplitConfig,
    split: Split,
    scatter_to: Callable[[Records, Block], Any] | None = None,
) -> tuple[Graph, list[Any]]:
    """Build the graph of some blocks that follow each other.

    Args:
        pieces: of the sources, in order.
        before: state before the first of them.
        header: names of the columns.
        shelf: where to write the shards.
        config: of the run.
        split: the rule that puts the records on their sides.
        scatter_to: writes a block to the buckets of a shuffle, instead of to the shards.

    Returns:
        A Dask graph, and the keys to ask for: those of what was written for each block (a list),
        and that of each item of the state behind the blocks, in their order.
    """
    rows = shelf.rows_per_shard
    builder = Builder(before.alignment, split, config)
    add, graph = builder.add, builder.graph
    graph |= {
        (COUNT, -1): before.strata,
        (NUMBER, -1): before.numbering,
        (LEDGER, -1): before.ledger,
        (ADD_UP, -1): before.profile,
    }
    if before.profile is not None:
        # Not at the top: see there.
        from sharder.graph.profile import add_up, profile

    for index, piece in enumerate(pieces):
        records = builder.add_records(index, piece, last_steps=(WRITE, LEDGER, ADD_UP))
        add(COUNT, index, _count, records, (COUNT, index - 1), column=split.column)
        block = add(ASSIGN, index, assign, records, (COUNT, index - 1), split=split)
        add(LEDGER, index, Ledger.add, (LEDGER, index - 1), records, block)
        if before.profile is None:
            graph[ADD_UP, index] = None
        else:
            profiled = add(PROFILE, index, profile, records, header=header)
            add(ADD_UP, index, add_up, (ADD_UP, index - 1), profiled)
        if scatter_to is not None:
            add(WRITE, index, scatter_to, records, block)
            graph[NUMBER, index] = before.numbering
            continue
        add(NUMBER, index, number, block, (NUMBER, index - 1), rows_per_shard=rows)
        add(WRITE, index, write, block, (NUMBER, index - 1), shelf=shelf)
    last = len(pieces) - 1
    writes = [(WRITE, index) for index in range(len(pieces))]
    return graph, [writes, *((step, last) for step in (ALIGN, COUNT, NUMBER, LEDGER, ADD_UP))]


def _count(records: Records, before: Strata, *, column: str) -> Strata:
    return before.add(records.keys, column=column) if isinstance(records.keys, Classes) else before
