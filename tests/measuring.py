"""Helper of the tests of memory: what a program took in all, as the kernel tells it at its end."""

from __future__ import annotations

import subprocess
import sys
import tempfile
from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple

from patience import PATIENCE_S

# The peak of a program begins with that of the process that starts it: so that is a small one.
_LAUNCHER = """
import os, resource, subprocess, sys

status = subprocess.call(sys.argv[3:], timeout=float(sys.argv[2]))
used = resource.getrusage(resource.RUSAGE_CHILDREN)
cpu_s = used.ru_utime + used.ru_stime
os.write(int(sys.argv[1]), f"{status} {used.ru_maxrss} {cpu_s}".encode())
"""


class Measured(NamedTuple):
    """A program that has ended: its exit status, what it told, its peak in MiB, its CPU time."""

    status: int
    stdout: str
    stderr: str
    peak: float
    cpu_s: float


def run_measured(command: Sequence[object], cwd: Path) -> Measured:
    """Run a program to its end, and measure it."""
    with tempfile.TemporaryFile() as found:
        number = found.fileno()
        launcher = [sys.executable, "-I", "-S", "-c", _LAUNCHER, number, PATIENCE_S]
        done = subprocess.run(
            list(map(str, (*launcher, *command))),
            cwd=cwd,
            capture_output=True,
            text=True,
            pass_fds=(number,),
            check=False,
        )
        assert done.returncode == 0, done.stderr
        found.seek(0)
        status, peak_kib, cpu_s = found.read().split()
    return Measured(int(status), done.stdout, done.stderr, int(peak_kib) / 1024, float(cpu_s))
