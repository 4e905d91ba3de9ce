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

from dask import delayed

from sharder.align import Alignment, align, begin
from sharder.config import SplitConfig
from sharder.inspect import inspect
from sharder.ledger import Ledger
from sharder.number import Numbering, number
from sharder.scan import Scan, scan
from sharder.source import Piece
from sharder.write import write

# Name of the task that finishes a block; its number follows. The progress counts them.
WRITE_TASK = "write-"


def build(
    pieces: Sequence[Piece], ledger: Ledger, dataset: Path, config: SplitConfig
) -> tuple[list[Any], Any, Any]:
    """Build the graph of a run.

    Args:
        pieces: of the sources, in order.
        ledger: with no record yet.
        dataset: directory to write to.
        config: of the run.

    Returns:
        Three lazy values: the shards written for each block (a list of them), the numbering
        behind the last block, and the ledger.
    """
    # A block under work for each worker, and one at each end of it: read ahead, or being written.
    window = config.workers + 2
    first = pieces[0].source
    rows = config.rows_per_shard
    alignment: Any = begin()
    numbering: Any = Numbering()
    writes: list[Any] = []
    tallies: list[Any] = []
    for index, piece in enumerate(pieces):
        path = piece.source.path
        if piece.first:
            alignment = _task("begin", index, _begin_source, alignment, piece=piece)
        finished = (writes[index - window], tallies[index - window]) if index >= window else ()
        scanned = _task("read", index, _read, *finished, piece=piece)
        before = alignment
        alignment = _task(
            "align",
            index,
            align,
            scanned,
            before,
            source=path,
            max_record_bytes=config.max_record_bytes,
        )
        block = _task(
            "inspect",
            index,
            inspect,
            scanned,
            before,
            alignment,
            source=path,
            header=first.header,
            config=config,
        )
        written = _task(
            "write",
            index,
            write,
            block,
            numbering,
            dataset=dataset,
            header_line=first.header_line,
            rows_per_shard=rows,
        )
        writes.append(written)
        numbering = _task("number", index, number, block, numbering, rows_per_shard=rows)
        tallies.append(
            _task("ledger", index, Ledger.add, tallies[-1] if tallies else ledger, block)
        )
    return writes, numbering, tallies[-1]


def _task(step: str, index: int, function: Callable[..., Any], *lazy: Any, **constant: Any) -> Any:
    # Constants are bound beforehand: Dask would search each of them for lazy values.
    bound = partial(function, **constant)
    return delayed(bound, name=step, pure=False, traverse=False)(
        *lazy, dask_key_name=f"{step}-{index}"
    )


def _read(*_finished: object, piece: Piece) -> Scan:
    return scan(piece.read(), last=piece.last)


def _begin_source(before: Alignment, *, piece: Piece) -> Alignment:
    source = piece.source
    return begin(offset=source.data_offset, lines=source.data_lines, records=before.records)
