"""How much memory processes took at most."""

from __future__ import annotations

import contextlib
import re
import resource
import sys
from collections.abc import Collection
from pathlib import Path


def peak_memory_bytes(others: Collection[int] = ()) -> int:
    """Return the most memory that this process and others can have held together.

    The sum of the peaks of each, which need not have been at the same moment.

    Args:
        others: process ids. Counted on Linux only. (`RUSAGE_CHILDREN` would not do: a child that
            has just been forked counts with all the memory of its parent.)
    """
    # Where there is no /proc: `ru_maxrss` begins with what the process had that started this one.
    # macOS counts bytes in it, others kibibytes.
    unit = 1 if sys.platform == "darwin" else 1024
    own = _peak("self") or resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * unit
    return own + sum(map(_peak, others))


def _peak(process: int | str) -> int:
    with contextlib.suppress(OSError):  # no such system, or the process has ended
        match = re.search(r"VmHWM:\s+(\d+) kB", Path(f"/proc/{process}/status").read_text())
        if match:
            return int(match[1]) * 1024
    return 0
