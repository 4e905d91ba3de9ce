"""Line ends, and other bytes of a text, and where they are."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

Positions = npt.NDArray[np.int32]

LF, CR = b"\n\r"

# Pieces that fit the second-level cache, so that masks and positions do not travel to memory.
CHUNK_BYTES = 1 << 18

_NONE = np.empty(0, np.int32)


def find(data: bytes, *bytes_: int) -> Positions:
    """Return the positions of some bytes."""
    array = np.frombuffer(data, np.uint8)
    found = []
    for start in range(0, len(array), CHUNK_BYTES):
        chunk = array[start : start + CHUNK_BYTES]
        mask = chunk == bytes_[0]
        for byte in bytes_[1:]:
            mask |= chunk == byte
        found.append((np.flatnonzero(mask) + start).astype(np.int32))
    return np.concatenate(found) if found else _NONE


def line_ends(data: bytes, *, last: bool) -> Positions:
    """Return the indices behind each LF, CR LF, and CR."""
    ends = find(data, LF) + np.int32(1)
    if CR not in data:
        return ends
    array = np.frombuffer(data, np.uint8)
    returns = find(data, CR) + np.int32(1)
    inner = returns[returns < len(data)]
    alone = inner[array[inner] != LF]
    if last and data[-1] == CR:
        alone = np.append(alone, np.int32(len(data)))
    return np.sort(np.concatenate([ends, alone])) if len(alone) else ends


def move(positions: Positions, before: bytes, after: bytes) -> Positions:
    """Return where line ends of one text are in another, which has the same ones.

    Args:
        positions: indices behind line ends of `before`, or 0, ascending.
        before: a text.
        after: a text with the same CR and LF in the same order, and other bytes between them.
    """
    number = np.searchsorted(find(before, LF, CR), positions)
    behind = find(after, LF, CR) + np.int32(1)
    moved: Positions = np.concatenate([np.zeros(1, np.int32), behind])[number]
    return moved
