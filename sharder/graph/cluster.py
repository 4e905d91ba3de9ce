"""A Dask cluster that runs the graphs: workers on other machines, which see the same storage.

No block travels through the scheduler, and few between two workers: Dask runs a task where it can
begin soonest. What the client gets is the profile of each block, straight from the worker, and the
state of the chains behind a round.
"""

from __future__ import annotations

import hashlib
import logging
import time
import uuid
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import CancelledError
from contextlib import closing, contextmanager
from pathlib import Path
from queue import Empty, SimpleQueue
from typing import Any

from distributed import Client, KilledWorker
from distributed.client import futures_of
from distributed.comm.core import CommClosedError

from sharder.graph.build import ADD_UP, PROFILE
from sharder.graph.reading import READ, Graph
from sharder.graph.shipping import ship, unique
from sharder.sources.source import Source
from shared.errors import ConfigError, SourceError, TargetError, WorkerError
from shared.home import is_cached

# With one, a worker that has nothing to do fetches every third block from one that is busy; with
# two, every tenth.
_BLOCKS_PER_THREAD = 2
# How often it is looked whether there are workers at all, and how long there may be none.
_LOOK_S = 5.0
_WITHOUT_WORKERS_S = 60.0
# How long a task may need to come to its end once nobody wants its result.
_END_S = 60.0


class Cluster:
    """A connection to a cluster.

    Attributes:
        workers: number of blocks that are worked on at once.
    """

    def __init__(self, client: Any, dataset: Path, blocks_per_thread: int) -> None:
        """Wait for the first worker, and for the end of what runs for the same dataset.

        Args:
            client: of the cluster.
            dataset: that is written.
            blocks_per_thread: number of blocks that are worked on at once, for each of its threads.
        """
        self._client = client
        self._name = f"scheduler {client.scheduler.address}"
        try:
            client.wait_for_workers(1, timeout=_WITHOUT_WORKERS_S)
        except TimeoutError:
            raise self._without_workers() from None
        self.workers = blocks_per_thread * sum(client.nthreads().values())
        target = hashlib.sha256(bytes(dataset)).hexdigest()[:12]
        self._run = f"{target}-{uuid.uuid4().hex}"
        # Of a client that was killed, a task may be running still.
        self._wait_until_idle(target)

    def close(self) -> None:
        """Wait until no task is under way; of a scheduler that is lost, nothing is known."""
        if self._client.status == "running":
            self._wait_until_idle(self._run)

    def get(
        self, graph: Graph, wanted: Sequence[Any], advance: Callable[[int], None] | None = None
    ) -> list[Any]:
        """Run a graph."""
        # Not at the top: see there.
        if graph.get((ADD_UP, -1)) is not None:
            from sharder.graph.profile import add_up

        run = f"{self._run}-{uuid.uuid4().hex}"
        writes, *chains = wanted
        profiles = [(PROFILE, index) for _, index in writes if (PROFILE, index) in graph]
        keys = [
            [unique(key, run) for key in writes],
            [unique(key, run) for key in profiles],
            *(unique(key, run) for key in chains if key[0] != ADD_UP),
        ]
        futures = self._client.get(ship(graph, run), keys, sync=False)
        sizes = {
            future.key: graph[READ, index][0].keywords["piece"].size
            for (_, index), future in zip(writes, futures[0], strict=True)
        }
        profile: Any = graph.get((ADD_UP, -1))
        waiting, done = futures.pop(1), set()
        try:
            for future in self._as_done([*waiting, *futures_of(futures)]):
                if advance is not None and future.key in sizes:
                    advance(sizes[future.key])
                done.add(future.key)
                while waiting and waiting[0].key in done:
                    first = waiting.pop(0)
                    profile = add_up(profile, self._client.gather(first, direct=True))
                    first.release()  # else its worker would keep it as long as the graph runs
            written, *states = self._client.gather(futures)
        except KilledWorker as error:
            raise WorkerError(
                self._name,
                expected="workers that stay alive",
                found=f"{error.allowed_failures + 1} that died at the same task, "
                f"{error.task[0]!r}, the last of them {error.last_worker.address}",
                hint="its log says why; of memory, smaller --block-bytes take less",
            ) from None
        except (CancelledError, CommClosedError) as error:
            raise WorkerError(
                self._name,
                expected="it to stay",
                found=f"a connection that was lost: {error}",
                hint="start it again, then run the same command again",
            ) from None
        finally:
            for future in futures_of([waiting, futures]):
                future.release()
        known = iter(states)
        return [written, *(profile if key[0] == ADD_UP else next(known) for key in chains)]

    def _as_done(self, futures: Sequence[Any]) -> Iterator[Any]:
        """Yield futures as they are done; the first error ends it."""
        # Asking for the next one again and again would look at all of them each time.
        done: SimpleQueue[Any] = SimpleQueue()
        for future in futures:
            future.add_done_callback(done.put)
        left, last_seen = len(futures), time.monotonic()
        while left:
            try:
                future = done.get(timeout=_LOOK_S)
            except Empty:
                if self._client.scheduler_info()["workers"]:
                    last_seen = time.monotonic()
                elif time.monotonic() - last_seen > _WITHOUT_WORKERS_S:
                    raise self._without_workers() from None
                continue
            if future.status != "finished":
                future.result()
            yield future
            left, last_seen = left - 1, time.monotonic()

    def check(self, sources: Sequence[Source], dataset: Path) -> None:
        """Refuse what the workers do not see, or cannot read.

        Raises:
            SourceError: a source is a stream.
            TargetError: a worker does not see a source, or the dataset.
            WorkerError: a worker has not the same packages.
        """
        for source in sources:
            if not source.has_ranges:
                raise SourceError(
                    source.name,
                    expected="with --scheduler or --dashboard, a source that can be read in pieces",
                    found="a stream, which can only be read in order, by one process",
                    hint="make it an unpacked file in UTF-8, or leave this option out",
                )
        files = {
            str(path): source.origin.size for source in sources if (path := source.origin.path)
        }
        try:
            self._client.run_on_scheduler(_nothing)
            found = self._client.run(_look, files, dataset)
        except Exception as error:
            raise WorkerError(
                self._name,
                expected="the packages of this environment there and at its workers",
                found=f"{type(error).__name__}: {error}",
                hint="install shardfit there, the same version as here",
            ) from None
        for worker, missing in found.items():
            if missing:
                raise TargetError(
                    f"worker {worker}",
                    expected=f"to see {missing} as this process does",
                    found="nothing there, or something else",
                    hint="name a directory that all workers see in XDG_CACHE_HOME"
                    if is_cached(Path(missing))
                    else "put source and --out on storage that all workers see, at the same path",
                )

    def _wait_until_idle(self, run: str) -> None:
        """Wait until no worker has a task of a run in hand."""
        until = time.monotonic() + _END_S
        while any(self._client.run(_is_busy, run, on_error="ignore").values()):
            if time.monotonic() > until:
                raise WorkerError(
                    self._name, expected="its tasks to end", found="one that does not"
                )
            time.sleep(0.05)

    def _without_workers(self) -> WorkerError:
        return WorkerError(
            self._name,
            expected="workers",
            found=f"none for {_WITHOUT_WORKERS_S:.0f} s",
            hint="start some: dask worker ADDRESS-OF-THE-SCHEDULER",
        )


@contextmanager
def connect(scheduler: str, sources: Sequence[Source], dataset: Path) -> Iterator[Cluster]:
    """Connect to a cluster; behind it no task is under way, after an error neither.

    Args:
        scheduler: its address, or the path of the file that it has written that to.
        sources: that are read.
        dataset: that is written.

    Raises:
        ConfigError: there is no such file.
        SourceError, TargetError: the workers do not see what this process sees.
        WorkerError: it does not answer, or has no workers.
    """
    if "://" not in scheduler and not Path(scheduler).is_file():
        raise ConfigError(
            f"--scheduler {scheduler}",
            expected="tcp://HOST:PORT, or what `dask scheduler --scheduler-file` has written",
            found="neither",
        )
    where = {"address": scheduler} if "://" in scheduler else {"scheduler_file": scheduler}
    try:
        client = Client(**where, set_as_default=False, name="sharder")
    except (OSError, ValueError) as error:
        raise WorkerError(
            f"--scheduler {scheduler}",
            expected="a Dask scheduler that answers",
            found=str(error),
            hint="start one: dask scheduler",
        ) from None
    with run_on(client, sources, dataset, _BLOCKS_PER_THREAD) as cluster:
        yield cluster


@contextmanager
def run_on(
    client: Any, sources: Sequence[Source], dataset: Path, blocks_per_thread: int
) -> Iterator[Cluster]:
    """Run graphs on the cluster of a client, which is closed behind it.

    Args:
        client: of the cluster.
        sources: that are read.
        dataset: that is written.
        blocks_per_thread: number of blocks that are worked on at once, for each of its threads.

    Raises:
        SourceError, TargetError: the workers do not see what this process sees.
        WorkerError: it has no workers.
    """
    silence("asyncio", "distributed")
    try:
        with client.as_current():
            cluster = Cluster(client, dataset, blocks_per_thread)
            cluster.check(sources, dataset)
            with closing(cluster):
                yield cluster
    finally:
        client.close()


def silence(*packages: str) -> None:
    """Keep packages from telling of a lost connection, or of Ctrl-C, in tracebacks of their own.

    Not by a level: to look at that, they take the lock of all loggers, and a Ctrl-C just then would
    leave it taken, so that Dask's threads would wait for it for ever.
    """
    for name in list(logging.root.manager.loggerDict):
        if name.partition(".")[0] in packages:
            logging.getLogger(name).disabled = True


def _look(files: dict[str, int], dataset: Path) -> str:
    """Return what cannot be seen from here; run on a worker."""
    for name, size in files.items():
        path = Path(name)
        if not path.is_file() or path.stat().st_size != size:
            return name
    return "" if dataset.is_dir() else str(dataset)


def _is_busy(run: str, dask_worker: Any) -> bool:
    """Tell whether a worker has a task of a run in hand; run on it."""
    keys = dask_worker.active_threads.values()  # others', too: any kind of key
    return any(isinstance(key, tuple) and len(key) == 3 and run in str(key[1]) for key in keys)


def _nothing() -> None:
    """Run on the scheduler, to see whether it knows this module."""
