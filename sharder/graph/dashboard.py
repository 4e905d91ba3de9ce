"""Dask's own dashboard of a run on this machine: its scheduler, and one worker, in this process.

Nothing listens but the pages of the scheduler and of the worker, and only to this machine: what
these two tell each other stays in memory.
"""

from __future__ import annotations

import uuid
import warnings
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

import distributed.dashboard.scheduler  # noqa: F401 -- without bokeh, its page would be a notice
from distributed import Client, LocalCluster
from distributed.gc import disable_gc_diagnosis

from sharder.graph.cluster import Cluster, run_on, silence
from sharder.sources.source import Source
from shared.errors import WorkerError

_HOST = "127.0.0.1"
# Dask's own. Where another process has it, Dask takes another one.
_PORT = 8787


@contextmanager
def watch(
    n_threads: int, sources: Sequence[Source], dataset: Path, tell: Callable[[str], None]
) -> Iterator[Cluster]:
    """Run graphs with threads of this process, and show them in a dashboard.

    Args:
        n_threads: number of threads.
        sources: that are read.
        dataset: that is written.
        tell: is told the address of the dashboard.

    Raises:
        SourceError: a source is a stream.
        WorkerError: the dashboard cannot be started.
    """
    silence("asyncio", "distributed", "tornado", "bokeh")
    try:
        # It warns of another port, which is told anyway, and of a machine without a network.
        with warnings.catch_warnings(action="ignore"):
            local = LocalCluster(
                processes=False,
                n_workers=1,
                threads_per_worker=n_threads,
                # The graph bounds the memory. With a limit, a worker would stop and wait there.
                memory_limit=None,
                dashboard_address=f"{_HOST}:{_PORT}",
                # Without an address, its page would be there for all machines.
                worker_dashboard_address=f"{_HOST}:0",
            )
    except RuntimeError as error:
        raise WorkerError(
            "--dashboard", expected="Dask's scheduler to start here", found=str(error)
        ) from None
    # It measures each collection of garbage, in whatever thread: a Ctrl-C in there would be lost.
    disable_gc_diagnosis(force=True)
    # As in here, where each error is caught; a client asks for it, and it is found out only once.
    uuid.getnode()
    with local:
        tell(f"dashboard: http://{_HOST}:{local.scheduler.http_server.port}/status")
        client = Client(local, set_as_default=False, name="sharder")
        with run_on(client, sources, dataset, blocks_per_thread=1) as cluster:
            yield cluster
