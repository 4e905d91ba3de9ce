"""Helper of the tests of memory: a program's peak as the kernel tells it, seen from outside."""

from __future__ import annotations

import re
import subprocess
import tempfile
import time
from collections.abc import Sequence
from pathlib import Path

# Far more than any of these programs takes; one that hangs fails its test instead of the suite.
_DEADLINE_S = 120.0


def run_measured(command: Sequence[object], cwd: Path) -> tuple[int, str, float]:
    """Run a program; return its exit status, what it told on stderr, and its peak in MiB.

    Not by `wait4`, whose peak begins with the memory of the process that runs the tests.
    """
    peaks, until = [0], time.monotonic() + _DEADLINE_S
    # A pipe that nobody reads in between would stop a program that tells much.
    with (
        tempfile.TemporaryFile() as stderr,
        subprocess.Popen(
            list(map(str, command)), cwd=cwd, stderr=stderr, stdout=subprocess.DEVNULL
        ) as process,
    ):
        while process.poll() is None:
            if time.monotonic() > until:
                process.kill()
            status = Path(f"/proc/{process.pid}/status").read_text()
            peaks += map(int, re.findall(r"VmHWM:\s+(\d+) kB", status))
            time.sleep(0.01)
        stderr.seek(0)
        told = stderr.read().decode()
    return process.returncode, told, max(peaks) / 1024
