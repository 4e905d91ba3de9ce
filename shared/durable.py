"""Files that are whole, or not there, after a power loss too."""

from __future__ import annotations

import ctypes
import os
from collections.abc import Iterable
from pathlib import Path
from typing import BinaryIO

from shared.errors import TargetError


def create(temporary: Path) -> BinaryIO:
    """Begin a file anew, in place of whatever has its name.

    A file that is opened in place may be a link that somebody else has laid, and its target would
    be overwritten.

    Raises:
        OSError: it cannot be made.
    """
    temporary.unlink(missing_ok=True)
    return temporary.open("xb")


def write_whole(path: Path, data: bytes | Iterable[bytes]) -> None:
    """Write a file, whole or not at all.

    Args:
        path: of the file.
        data: what it gets, or the parts of that.

    Raises:
        OSError: it could not be written.
    """
    temporary = path.with_name(f".{path.name}.tmp")
    try:
        with create(temporary) as file:
            file.writelines([data] if isinstance(data, bytes) else data)
        publish(temporary, path)
    finally:
        temporary.unlink(missing_ok=True)


def refuse_link(path: Path) -> None:
    """Refuse a link in the place of a file or directory of ours: it may lead anywhere.

    Raises:
        TargetError: it is one.
    """
    if path.is_symlink():
        raise TargetError(
            path,
            expected="a file or directory of an earlier run, or none",
            found=f"a link to {path.readlink()}",
            hint="nothing was written; see who made it, then remove it",
        )


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


def sync_file_system(directory: Path) -> None:
    """Make sure that all files of the file system that a directory is on are on the disk.

    Of thousands of new files, a call for each would take a second for each hundred. Linux's
    `syncfs` looks at one file system, and tells of errors; elsewhere all are written.

    Raises:
        OSError: something could not be written.
    """
    # Python has `os.sync` only, which would wait for a network drive that does not answer, too.
    syncfs = getattr(ctypes.CDLL(None, use_errno=True), "syncfs", None)
    if syncfs is None:
        os.sync()
        return
    handle = os.open(directory, os.O_RDONLY)
    try:
        if syncfs(handle):
            error = ctypes.get_errno()
            raise OSError(error, os.strerror(error), str(directory))
    finally:
        os.close(handle)
