"""What runs a graph: the threads of this process, or a cluster (`sharder.graph.cluster`)."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any, Protocol, TypeVar

import dask.threaded

from sharder.graph.reading import Graph
from sharder.sources.source import Source

T = TypeVar("T")

_BATCH = 1000


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
    """The threads of this process.

    Attributes:
        workers: number of threads.
        executor: of them.
        sources: what they read.
    """

    workers: int
    executor: ThreadPoolExecutor
    sources: Sequence[Source]

    def get(
        self,
        graph: Graph,
        wanted: Sequence[Any],
        advance: Callable[[int], None] | None = None,  # noqa: ARG002
    ) -> list[Any]:
        """Run a graph; after an error, Ctrl-C too, no task is under way."""
        try:
            results: list[Any] = dask.threaded.get(graph, wanted, pool=self.executor)
        except BaseException:
            self.stop()
            raise
        return results

    def stop(self) -> None:
        """End what is under way, and all work."""
        # A read from a silent pipe would never end, nor would closing what it reads from.
        for source in self.sources:
            source.origin.interrupt()
        self.executor.shutdown(cancel_futures=True)


def map_numbers(function: Callable[[int], T], count: int) -> Iterator[T]:
    """Yield what a function says of the numbers below `count`, in order, on all cores."""
    with ThreadPoolExecutor() as executor:
        # In batches, so that a dataset of any size keeps only a few tasks waiting.
        for start in range(0, count, _BATCH):
            yield from executor.map(function, range(start, min(start + _BATCH, count)))


@contextmanager
def threads(number: int, sources: Sequence[Source]) -> Iterator[Threads]:
    """Give a pool of threads; no task is under way behind it."""
    pool = Threads(number, ThreadPoolExecutor(number), sources)
    try:
        yield pool
    finally:
        pool.stop()
