"""The crew: a fixed number of workers, all listened to at once."""

from __future__ import annotations

import os
import selectors
import threading
from collections.abc import Iterator

from trainer.features.spec import FeatureSpec
from trainer.feeding.process import Process, save_spec


class Crew:
    """Workers that serve one specification.

    Attributes:
        processes: those that run.
        lock: held by the thread that deals with them.
        ended: whether `end` was called; from then on nobody is started.
    """

    def __init__(self, spec: FeatureSpec, size: int) -> None:
        """Prepare a crew of `size` workers; none is started yet."""
        self.processes: list[Process] = []
        self.lock = threading.Lock()
        self.ended = False
        self._size = size
        self._spec = save_spec(spec)
        self._selector = selectors.DefaultSelector()
        self._pid = os.getpid()

    @property
    def is_ours(self) -> bool:
        """Whether this is the process that made the crew, not a fork of it."""
        return os.getpid() == self._pid

    def fill(self) -> None:
        """Start as many workers as are missing."""
        while len(self.processes) < self._size and not self.ended:
            process = Process(self._spec)
            self.processes.append(process)
            self._selector.register(process, selectors.EVENT_READ)

    def wait(self, timeout_s: float) -> Iterator[Process]:
        """Wait until some workers have something to say, and yield these."""
        for key, _ in self._selector.select(timeout_s):
            if isinstance(key.fileobj, Process):
                yield key.fileobj

    def dismiss(self, process: Process) -> None:
        """End one worker."""
        self.processes.remove(process)
        self._selector.unregister(process)
        process.end()

    def end(self) -> None:
        """End all workers, also while another thread waits for them: that one finds them dead."""
        self.ended = True
        if not self.is_ours:
            return
        for process in list(self.processes):
            process.kill()
        if self.lock.acquire(timeout=1.0):
            try:
                for process in list(self.processes):
                    self.dismiss(process)
                self._selector.close()
                self._spec.close()
            finally:
                self.lock.release()
