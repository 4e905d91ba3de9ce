"""How much memory a run took."""

from __future__ import annotations

import contextlib
import re
import resource
import sys
from collections.abc import Collection
from pathlib import Path


def peak_memory_bytes(workers: Collection[int]) -> int:
    """Return the most memory that this process and its workers can have held together.

    The sum of the peaks of each, which need not have been at the same moment.

    Args:
        workers: process ids. Counted on Linux only. (`RUSAGE_CHILDREN` would not do: a child that
            has just been forked counts with all the memory of its parent.)
    """
    # Linux counts in KiB, macOS in bytes.
    unit = 1 if sys.platform == "darwin" else 1024
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * unit + sum(map(_peak, workers))


def _peak(pid: int) -> int:
    with contextlib.suppress(OSError):  # no such system, or the process has ended
        match = re.search(r"VmHWM:\s+(\d+) kB", Path(f"/proc/{pid}/status").read_text())
        if match:
            return int(match[1]) * 1024
    return 0
