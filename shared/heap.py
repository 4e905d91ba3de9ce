"""The C library's heap, told what to keep when memory is freed. Only glibc's is."""

from __future__ import annotations

import contextlib
import ctypes

# The options of `mallopt` in glibc's <malloc.h>.
_TRIM_THRESHOLD, _MMAP_THRESHOLD, _ARENA_MAX = -1, -3, -8


def keep_freed_memory() -> None:
    """Keep arrays as large as a block in the heap, and the heap when they are freed.

    By default they are mapped and unmapped, or cut off the heap's end, and the system fills each of
    their pages with zeros again: a tenth of the time of a split without a profile. With two arenas,
    not one for each thread, the peak is the same.
    """
    _set((_ARENA_MAX, 2), (_MMAP_THRESHOLD, 32 << 20), (_TRIM_THRESHOLD, 128 << 20))


def give_back_memory() -> None:
    """Give arrays of a MiB or more back to the system when they are freed.

    By default the heap keeps up to 32 MiB of each size, for the next of that size or a smaller one.
    """
    _set((_MMAP_THRESHOLD, 1 << 20))


def give_back_all() -> None:
    """Give everything back to the system that is free now, also between what is in use."""
    with contextlib.suppress(AttributeError):
        ctypes.CDLL(None).malloc_trim(0)


def _set(*options: tuple[int, int]) -> None:
    with contextlib.suppress(AttributeError):
        mallopt = ctypes.CDLL(None).mallopt
        for option, value in options:
            mallopt(option, value)
