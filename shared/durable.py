"""Files that are whole, or not there, after a power loss too."""

from __future__ import annotations

import os
from pathlib import Path


def publish(temporary: Path, path: Path) -> None:
    """Give a complete file its final name, in the same directory, once its bytes are on the disk.

    Raises:
        OSError: it could not be written.
    """
    with temporary.open("rb") as file:
        os.fsync(file.fileno())
    temporary.replace(path)
    sync_names(path.parent)


def sync_names(directory: Path) -> None:
    """Make sure that the names in a directory are on the disk."""
    handle = os.open(directory, os.O_RDONLY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)
