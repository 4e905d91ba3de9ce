"""How much memory a run took."""

from __future__ import annotations

import resource
import sys


def peak_memory_bytes(workers: int) -> int:
    """Return the most memory that this process and its workers can have held together.

    An upper bound: the peak of this process, and for each worker that of the largest child.
    Workers count once they have ended.
    """
    own = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    child = resource.getrusage(resource.RUSAGE_CHILDREN).ru_maxrss
    # Linux counts in KiB, macOS in bytes.
    unit = 1 if sys.platform == "darwin" else 1024
    return (own + workers * child) * unit
