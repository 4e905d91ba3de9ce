"""The threads that work on a graph."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager

from sharder.source import Source


@contextmanager
def threads(number: int, sources: Sequence[Source]) -> Iterator[ThreadPoolExecutor]:
    """Give a pool of threads; no task is under way behind it, after an error neither."""
    pool = ThreadPoolExecutor(number)
    try:
        yield pool
    finally:
        for source in sources:  # or a read from a silent pipe would never end
            source.origin.interrupt()
        pool.shutdown(cancel_futures=True)
