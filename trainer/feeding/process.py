"""One worker, as the trainer sees it: started, asked, listened to, and ended."""

from __future__ import annotations

import contextlib
import fcntl
import io
import os
import signal
import subprocess
import sys
import tempfile
import time
from collections import deque
from collections.abc import Iterator
from pathlib import Path
from typing import IO, cast

import msgspec

from trainer.features.encode import Batch
from trainer.features.spec import FeatureSpec
from trainer.feeding.wire import Failed, Hello, pack, unpack_answers
from trainer.shards.shard import Shard

_BOOTSTRAP = Path(__file__).with_name("bootstrap.py")

# What the pipe may hold of answers, so that a worker goes on while nobody listens: ten batches of
# the quest log. What Linux allows everybody; elsewhere the pipe stays as it is, and a worker waits
# earlier.
_PIPE_BYTES = 1 << 20

_THREADS = ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS", "VECLIB_MAXIMUM_THREADS")


def save_spec(spec: FeatureSpec) -> IO[bytes]:
    """Return a file without a name that holds the specification.

    A file, and not the pipe: one that is larger than the pipe would have to wait for the worker.
    """
    file = tempfile.TemporaryFile()  # noqa: SIM115 (it stays open as long as the crew)
    file.write(msgspec.json.encode(spec))
    file.flush()
    return file


class Process:
    """One worker process.

    Attributes:
        asked: the shards that it was asked for and has not answered, the one it reads first.
        heard_s: when it last showed life, or was given work while it had none.
        started: whether it has said Hello.
    """

    def __init__(self, spec: IO[bytes]) -> None:
        """Start the worker; `spec` comes from `save_spec`."""
        root = str(Path(__file__).resolve().parents[2])
        paths = [path for path in sys.path if path]
        read_fd, write_fd = os.pipe()
        self._pipe = pipe = io.FileIO(read_fd)
        try:
            numbers = [spec.fileno(), write_fd, os.getpid()]
            self._popen = subprocess.Popen(
                [sys.executable, str(_BOOTSTRAP), *map(str, numbers)]
                + paths
                + [root] * (root not in paths),
                stdin=subprocess.PIPE,
                # Whatever a library prints must not get between the answers.
                stdout=2,
                bufsize=0,
                pass_fds=[spec.fileno(), write_fd],
                env=os.environ | dict.fromkeys(_THREADS, "1"),
                # Ctrl-C in a terminal goes to its whole process group: not to the workers.
                process_group=0,
            )
        finally:
            os.close(write_fd)
        self._requests = cast("io.FileIO", self._popen.stdin)
        if hasattr(fcntl, "F_SETPIPE_SZ"):
            with contextlib.suppress(OSError):
                fcntl.fcntl(pipe, fcntl.F_SETPIPE_SZ, _PIPE_BYTES)
        os.set_blocking(pipe.fileno(), False)
        self._answers = unpack_answers(pipe)
        self.fileno = pipe.fileno
        self.pid = self._popen.pid
        self.asked: deque[Shard] = deque()
        self.heard_s = time.monotonic()
        self.started = False

    def ask(self, shard: Shard) -> None:
        """Ask for a shard. Few enough at a time, so that the pipe has room for the requests."""
        if not self.asked:
            self.heard_s = time.monotonic()
        self.asked.append(shard)
        # If it is dead, that shows when it is listened to.
        with contextlib.suppress(BrokenPipeError):
            self._requests.write(pack(shard))

    def listen(self) -> Iterator[tuple[Shard, Batch | Failed]]:
        """Yield the answers that have come, without waiting.

        Raises:
            EOFError: the worker has ended.
        """
        for answer in self._answers:
            if answer is None:
                return
            self.heard_s = time.monotonic()
            if isinstance(answer, Hello):
                self.started = True
            else:
                yield self.asked.popleft(), answer
        raise EOFError

    def fate(self) -> str:
        """Return how a worker whose pipe has ended came to its end."""
        try:
            # The pipe ends a moment before the process; where memory has run out, a long moment.
            status = self._popen.wait(timeout=5.0)
        except subprocess.TimeoutExpired:
            return "closed its pipe"
        if status >= 0:
            return f"ended with exit status {status}"
        name = signal.Signals(-status).name
        # The kernel sends SIGKILL where memory has run out.
        return f"was killed by {name}" + " (out of memory?)" * (name == "SIGKILL")

    def kill(self) -> None:
        """Kill the worker. It has nothing to lose, and it may be stopped or stuck."""
        self._popen.kill()

    def end(self) -> None:
        """End the worker, if it has not ended by itself, and leave nothing of it."""
        self.kill()
        with contextlib.suppress(subprocess.TimeoutExpired):
            # Longer only where the disk does not answer; then the system buries it.
            self._popen.wait(timeout=1.0)
        self._requests.close()
        self._pipe.close()
