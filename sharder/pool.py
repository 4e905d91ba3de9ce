"""What runs a graph: the threads of this process, or a cluster (`sharder.cluster`)."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any, Protocol

import dask.threaded

from sharder.reading import Graph
from sharder.source import Source


class Pool(Protocol):
    """Workers that run graphs."""

    @property
    def workers(self) -> int:
        """Number of blocks that are worked on at once."""

    def get(
        self, graph: Graph, wanted: Sequence[Any], advance: Callable[[int], None] | None = None
    ) -> list[Any]:
        """Run a graph.

        Args:
            graph: to run.
            wanted: keys of the graph, in lists of lists.
            advance: is told of the bytes that were read, where no callback of Dask's is.

        Returns:
            Their results.
        """


@dataclass(frozen=True)
class Threads:
    """The threads of this process."""

    workers: int
    executor: ThreadPoolExecutor

    def get(
        self,
        graph: Graph,
        wanted: Sequence[Any],
        advance: Callable[[int], None] | None = None,  # noqa: ARG002
    ) -> list[Any]:
        """Run a graph."""
        results: list[Any] = dask.threaded.get(graph, wanted, pool=self.executor)
        return results


@contextmanager
def threads(number: int, sources: Sequence[Source]) -> Iterator[Threads]:
    """Give a pool of threads; no task is under way behind it, after an error neither."""
    executor = ThreadPoolExecutor(number)
    try:
        yield Threads(number, executor)
    finally:
        for source in sources:  # or a read from a silent pipe would never end
            source.origin.interrupt()
        executor.shutdown(cancel_futures=True)
