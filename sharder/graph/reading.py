"""The steps that every graph begins with: from the pieces of the sources to their records.

    read ──> scan ──> align ──> inspect ──> …
      │                │ chain 1
      └ another chain, where the source is a stream

A block is read only when the block `window` places before it is finished. This edge is what
bounds the memory, under any scheduler: however large the source, no more blocks are under way.
A stream differs from a file in one more edge: a block is read when the one before it was read.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import partial
from typing import Any

from sharder.config import SplitConfig
from sharder.graph.inspect import inspect
from sharder.records.align import Alignment, align, begin
from sharder.records.scan import Scan, scan
from sharder.sources.piece import Piece
from sharder.sources.source import Source
from sharder.sources.stream import Chunk
from shared.dialect import Dialect
from shared.manifest import Split

# A task's key is its step and its block.
Key = tuple[str, int]
Graph = dict[Key, Any]

READ, SCAN, BEGIN, ALIGN, INSPECT = "read", "scan", "begin", "align", "inspect"


class Builder:
    """A Dask graph that is being built.

    A plain dict, Dask's own form: `delayed` would copy the chain so far for each of its links.

    Attributes:
        graph: the tasks so far.
    """

    def __init__(self, before: Alignment, split: Split, config: SplitConfig) -> None:
        """Begin with no task.

        Args:
            before: alignment before the first block.
            split: the rule that puts the records on their sides.
            config: of the run.
        """
        self.graph: Graph = {(ALIGN, -1): before}
        self._split, self._config = split, config
        self._window = config.blocks_under_way

    def add(
        self, step: str, index: int, function: Callable[..., Any], *needs: Key, **bound: Any
    ) -> Key:
        """Add a task; return its key.

        Args:
            step: of the block.
            index: of the block.
            function: called with what it needs, and what is bound.
            needs: keys of the tasks whose results it needs.
            bound: its other arguments.
        """
        self.graph[step, index] = (partial(function, **bound), *needs)
        return step, index

    def add_records(self, index: int, piece: Piece, *, last_steps: Sequence[str]) -> Key:
        """Add the tasks that find the records of a piece; return the key of the last.

        Args:
            index: of the block.
            piece: to read.
            last_steps: with these, a block is finished.
        """
        source: dict[str, Any] = {"source": piece.source.name, "encoding": piece.source.encoding}
        previous: Key = (ALIGN, index - 1)
        if piece.first:
            previous = self.add(BEGIN, index, _begin_source, previous, source=piece.source)
        needed: list[Key] = []
        if index >= self._window:
            needed = [(step, index - self._window) for step in last_steps]
        if piece.in_order and not piece.first and index:
            needed.append((READ, index - 1))
        read = self.add(READ, index, _read, *needed, piece=piece)
        scanned = self.add(SCAN, index, _scan, read, dialect=piece.source.dialect)
        limit = self._config.max_record_bytes
        aligned = self.add(ALIGN, index, align, scanned, previous, **source, max_record_bytes=limit)
        return self.add(
            *(INSPECT, index, inspect, scanned, previous, aligned),
            **source,
            header=piece.source.columns,
            cleaner=piece.source.cleaner,
            split=self._split,
            max_record_bytes=limit,
        )


def _read(*_needed: object, piece: Piece) -> Chunk:
    return piece.read()


def _scan(chunk: Chunk, *, dialect: Dialect) -> Scan:
    return scan(chunk.data, last=chunk.last, offset=chunk.offset, dialect=dialect)


def _begin_source(before: Alignment, *, source: Source) -> Alignment:
    return begin(lines=source.data_lines, records=before.records)
