"""A real Dask cluster for tests: a scheduler and workers, each a process of its own."""

from __future__ import annotations

import subprocess
import sys
import time
from pathlib import Path

from patience import PATIENCE_S

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

    def start(self, *command: str, env: dict[str, str] | None = None) -> subprocess.Popen[bytes]:
        with (self.home / "log").open("ab") as log:
            options = ("--scheduler-file", str(self.file), "--no-dashboard")
            return subprocess.Popen([DASK, *command, *options], cwd=self.home, stderr=log, env=env)

    def start_worker(self, env: dict[str, str] | None = None) -> subprocess.Popen[bytes]:
        """Start a worker, and wait until the scheduler knows it."""
        known = self._n_known()
        # Without a nanny, which would start a worker that was killed anew.
        worker = self.start("worker", "--nthreads", "1", "--no-nanny", env=env)
        self.workers.append(worker)
        while self._n_known() == known:
            assert worker.poll() is None
            time.sleep(0.05)
        return worker

    def _n_known(self) -> int:
        return (self.home / "log").read_text().count("Registered to:")

    def kill_worker(self, number: int) -> None:
        worker = self.workers[number]
        worker.kill()
        self.wait_for_end_of(worker)

    def wait_for_end_of(self, worker: subprocess.Popen[bytes]) -> int:
        """Return the exit status of a worker, which is no part of the cluster any more."""
        self.workers.remove(worker)
        return worker.wait(timeout=PATIENCE_S)

    def stop(self) -> None:
        for process in (*self.workers, self.scheduler):
            process.terminate()
            process.wait(timeout=PATIENCE_S)
