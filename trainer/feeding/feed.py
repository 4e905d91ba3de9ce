"""The feed: shards read ahead by worker processes, which are watched, for the whole of a run.

It has no thread of its own. Who waits for a shard also listens to the workers, replaces those that
died or are stuck, and hands out work; while nobody waits, the workers' pipes hold what they have
read. So there is no wait that is not watched.
"""

from __future__ import annotations

import time
import weakref
from collections import Counter, deque
from collections.abc import Sequence

import click

import shared.errors
from shared.errors import ConfigError, ShardfitError, WorkerError
from trainer.features.encode import Batch
from trainer.features.spec import FeatureSpec
from trainer.features.transform import make_encoder
from trainer.feeding.crew import Crew
from trainer.feeding.process import Process
from trainer.feeding.wire import Failed
from trainer.shards.read import read_shard
from trainer.shards.shard import Shard

# Shards that one worker is asked for at a time: more than it can read while nobody listens. The
# requests must fit into its pipe, which holds 64 KiB; a path can have 4.
_ASKED_AT_MOST = 8
# Until it has imported NumPy and Arrow: 0.2 s here, more from a cold disk. No measured reason.
_START_S = 60.0
# What has failed so often will fail for ever.
_ATTEMPTS = 3
# What stands for the shard where a worker fails before it has read any.
_START = "the start of a worker"


class Feed:
    """Reads shards in worker processes, which start with the first shard and stay.

    Several sequences and threads may use one feed; one thread at a time gets its shards.
    """

    def __init__(self, spec: FeatureSpec, *, workers: int = 2, timeout_s: float = 60.0) -> None:
        """Prepare the feed.

        Args:
            spec: what the records become.
            workers: number of processes; 0 reads in this one, for debugging and tiny data.
            timeout_s: a worker that needs longer for a shard is stuck. A shard takes about a
                millisecond; the default leaves room for a disk that spins up, or a network drive.

        Raises:
            ConfigError: an argument is out of its bounds.
        """
        if workers < 0:
            raise ConfigError("workers", expected="0 or more", found=str(workers))
        if not timeout_s > 0:
            raise ConfigError("timeout_s", expected="more than 0", found=str(timeout_s))
        self.spec = spec
        self._encoder = make_encoder(spec)
        self._timeout_s = timeout_s
        self._ready: dict[Shard, Batch | Exception] = {}
        self._waiting: deque[Shard] = deque()
        self._ahead: weakref.WeakKeyDictionary[object, Sequence[Shard]]
        self._ahead = weakref.WeakKeyDictionary()
        self._wanted: set[Shard] = set()
        self._failures: Counter[str] = Counter()
        self._crew = Crew(spec, workers) if workers else None
        # Also where nobody calls `close`: when the feed is dropped, and when the program ends.
        self._close = weakref.finalize(self, self._crew.end) if self._crew else lambda: None

    @property
    def pids(self) -> list[int]:
        """The workers' process ids."""
        return [process.pid for process in self._crew.processes] if self._crew else []

    def close(self) -> None:
        """End the workers."""
        self._close()

    def read(
        self, shards: Sequence[Shard], *, ahead: Sequence[Shard] = (), owner: object
    ) -> list[Batch]:
        """Return the arrays of some shards; they belong to the caller.

        Args:
            shards: each of them once.
            ahead: those that `owner` needs next, in their order. They take the place of those of
                its call before; what was read for that call only is dropped.
            owner: who asks.

        Raises:
            ContractError: a shard cannot be read; the message names it.
            WorkerError: workers died or were stuck at a shard, again and again.
        """
        crew = self._crew
        if crew is None:
            return [read_shard(shard, self._encoder) for shard in shards]
        if not crew.is_ours:
            raise ConfigError(
                "use_multiprocessing",
                found="a copy of the sequence in another process",
                hint="leave it off: the sequence has workers of its own",
            )
        with crew.lock:
            self._ahead[owner] = ahead
            self._want(crew, shards)
            since_s = time.monotonic()
            self._listen(crew, since_s, wait=False)
            while not all(shard in self._ready for shard in shards):
                self._listen(crew, since_s, wait=True)
            results = [self._ready.pop(shard) for shard in shards]
        batches = []
        for result in results:
            if isinstance(result, Exception):
                raise result
            batches.append(result)
        return batches

    def attend(self) -> None:
        """Listen to the workers without waiting, so that their pipes do not stop them."""
        crew = self._crew
        if crew is not None and crew.is_ours:
            with crew.lock:
                self._listen(crew, time.monotonic(), wait=False)

    def forget(self, owner: object) -> None:
        """Drop what was read ahead for an owner, who does not need it any more."""
        crew = self._crew
        if crew is not None and crew.is_ours:
            with crew.lock:
                self._ahead.pop(owner, None)
                self._want(crew, ())

    def _want(self, crew: Crew, shards: Sequence[Shard]) -> None:
        """Forget what nobody wants any more, and see to what is wanted and not under way."""
        wanted = dict.fromkeys(shards)
        for ahead in self._ahead.values():
            wanted.update(dict.fromkeys(ahead))
        self._wanted = set(wanted)
        self._ready = {shard: self._ready[shard] for shard in wanted if shard in self._ready}
        asked = {shard for process in crew.processes for shard in process.asked}
        self._waiting = deque(shard for shard in wanted if shard not in self._ready.keys() | asked)

    def _listen(self, crew: Crew, since_s: float, *, wait: bool) -> None:
        """Hand out work, then take what the workers have to say.

        Args:
            crew: the workers.
            since_s: when the caller began to wait. A worker is not late while nobody listens.
            wait: whether to wait for a word, or for the first worker to be late.
        """
        if crew.ended:
            raise WorkerError("the feed of batches was closed while one was read")
        crew.fill()
        self._hand_out(crew)
        busy = [process for process in crew.processes if process.asked]
        due_s = min((self._due_s(process, since_s) for process in busy), default=since_s)
        for process in crew.wait(max(0.0, due_s - time.monotonic()) if wait else 0.0):
            self._take(crew, process)
        for process in busy:
            late = self._due_s(process, since_s) < time.monotonic()
            # What it said may have come while this process itself was stopped.
            if late and process in crew.processes and not self._take(crew, process):
                self._replace(crew, process, f"gave no answer for {self._timeout_s:g} s")

    def _hand_out(self, crew: Crew) -> None:
        while self._waiting:
            process = min(crew.processes, key=lambda process: len(process.asked))
            if len(process.asked) >= _ASKED_AT_MOST:
                return
            process.ask(self._waiting.popleft())

    def _due_s(self, process: Process, since_s: float) -> float:
        limit_s = self._timeout_s if process.started else max(self._timeout_s, _START_S)
        return max(process.heard_s, since_s) + limit_s

    def _take(self, crew: Crew, process: Process) -> bool:
        """Take what a worker has to say; return whether there was anything."""
        heard_s, started = process.heard_s, process.started
        try:
            for shard, answer in process.listen():
                del self._failures[shard.path]
                if shard in self._wanted:
                    self._ready[shard] = _error(answer) if isinstance(answer, Failed) else answer
        except EOFError:
            self._replace(crew, process, process.fate())
            return True
        if process.started and not started:
            del self._failures[_START]
        return process.heard_s > heard_s

    def _replace(self, crew: Crew, process: Process, reason: str) -> None:
        """Dismiss a worker that died or is stuck; its shards wait for another one."""
        crew.dismiss(process)
        if crew.ended:
            return
        self._waiting.extendleft(
            shard for shard in reversed(process.asked) if shard in self._wanted
        )
        if not process.started:
            reason += " while starting"
            self._count(_START, reason)
        elif process.asked:
            reason += f" while reading {process.asked[0].path}"
            self._count(process.asked[0].path, reason)
        click.echo(f"worker {process.pid} {reason}; another one takes its place", err=True)

    def _count(self, where: str, reason: str) -> None:
        """Count a failure of a worker, at its start or at a shard.

        Raises:
            WorkerError: it is the last that is accepted.
        """
        self._failures[where] += 1
        if self._failures[where] < _ATTEMPTS:
            return
        del self._failures[where]
        raise WorkerError(
            where,
            expected="a worker that gets through",
            found=f"{_ATTEMPTS} that did not; the last {reason}",
            hint="look for a lack of memory or a failing disk; with workers=0 the shards are read "
            "in the program itself",
        )


def _error(failed: Failed) -> Exception:
    if not failed.kind:
        return RuntimeError(f"a bug, in a worker process:\n{failed.where}")
    kind: type[ShardfitError] = getattr(shared.errors, failed.kind)
    return kind(failed.where, expected=failed.expected, found=failed.found, hint=failed.hint)
