"""Helper of the tests of memory: a program's peak as the kernel tells it, seen from outside."""

from __future__ import annotations

import re
import subprocess
import tempfile
import time
from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple

# Far more than any of these programs takes; one that hangs fails its test instead of the suite.
_DEADLINE_S = 120.0


class Measured(NamedTuple):
    """A program that has ended: its exit status, what it told, and its peak in MiB."""

    status: int
    stdout: str
    stderr: str
    peak: float


def run_measured(command: Sequence[object], cwd: Path) -> Measured:
    """Run a program, and look at its memory.

    Not by `wait4`, whose peak begins with the memory of the process that runs the tests.
    """
    peaks, until = [0], time.monotonic() + _DEADLINE_S
    # A pipe that nobody reads in between would stop a program that tells much.
    with (
        tempfile.TemporaryFile() as stdout,
        tempfile.TemporaryFile() as stderr,
        subprocess.Popen(list(map(str, command)), cwd=cwd, stdout=stdout, stderr=stderr) as process,
    ):
        while process.poll() is None:
            if time.monotonic() > until:
                process.kill()
            status = Path(f"/proc/{process.pid}/status").read_text()
            peaks += map(int, re.findall(r"VmHWM:\s+(\d+) kB", status))
            time.sleep(0.01)
        stdout.seek(0)
        stderr.seek(0)
        told = stdout.read().decode(), stderr.read().decode()
    return Measured(process.returncode, *told, max(peaks) / 1024)
