"""Helper of the tests of memory: a program's peak as the kernel tells it, seen from outside."""

from __future__ import annotations

import re
import subprocess
import time
from collections.abc import Sequence
from pathlib import Path


def run_measured(command: Sequence[object], cwd: Path) -> tuple[int, str, float]:
    """Run a program; return its exit status, what it told on stderr, and its peak in MiB.

    Not by `wait4`, whose peak begins with the memory of the process that runs the tests.
    """
    peaks = [0]
    with subprocess.Popen(
        list(map(str, command)), cwd=cwd, stderr=subprocess.PIPE, stdout=subprocess.DEVNULL
    ) as process:
        assert process.stderr
        while process.poll() is None:
            status = Path(f"/proc/{process.pid}/status").read_text()
            peaks += map(int, re.findall(r"VmHWM:\s+(\d+) kB", status))
            time.sleep(0.01)
        told = process.stderr.read().decode()
    return process.returncode, told, max(peaks) / 1024
