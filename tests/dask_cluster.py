"""A real Dask cluster for tests: a scheduler and workers, each a process of its own."""

from __future__ import annotations

import subprocess
import sys
import time
from pathlib import Path

DASK = str(Path(sys.executable).with_name("dask"))


class Cluster:
    """A scheduler and its workers, in a directory of their own, which the source is not in."""

    def __init__(self, home: Path) -> None:
        self.home, self.file = home, home / "scheduler.json"
        self.workers: list[subprocess.Popen[bytes]] = []
        self.scheduler = self.start("scheduler", "--port", "0")
        while not self.file.exists():
            assert self.scheduler.poll() is None
            time.sleep(0.05)

    def start(self, *command: str) -> subprocess.Popen[bytes]:
        with (self.home / "log").open("ab") as log:
            options = ("--scheduler-file", str(self.file), "--no-dashboard")
            return subprocess.Popen([DASK, *command, *options], cwd=self.home, stderr=log)

    def start_worker(self) -> None:
        # Without a nanny, which would start a worker that was killed anew.
        self.workers.append(self.start("worker", "--nthreads", "1", "--no-nanny"))

    def kill_worker(self, number: int = 0) -> None:
        worker = self.workers.pop(number)
        worker.kill()
        worker.wait(timeout=60)

    def stop(self) -> None:
        for process in (*self.workers, self.scheduler):
            process.terminate()
            process.wait(timeout=60)
