"""The C library's heap, told to keep what blocks have freed for the blocks that follow."""

from __future__ import annotations

import contextlib
import ctypes

# The options of `mallopt` in glibc's <malloc.h>.
_TRIM_THRESHOLD, _MMAP_THRESHOLD, _ARENA_MAX = -1, -3, -8


def keep_freed_memory() -> None:
    """Keep arrays as large as a block in the heap, and the heap when they are freed.

    By default they are mapped and unmapped, or cut off the heap's end, and the system fills each of
    their pages with zeros again: a tenth of the time of a split without a profile. With two arenas,
    not one for each thread, the peak is the same. Other C libraries are left as they are.
    """
    with contextlib.suppress(AttributeError):
        mallopt = ctypes.CDLL(None).mallopt
        mallopt(_ARENA_MAX, 2)
        mallopt(_MMAP_THRESHOLD, 32 << 20)
        mallopt(_TRIM_THRESHOLD, 128 << 20)
