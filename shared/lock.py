"""A directory that one process at a time writes to, and who that is."""

from __future__ import annotations

import contextlib
import fcntl
import os
import time
from collections.abc import Iterator
from pathlib import Path

import msgspec

from shared.errors import ContractError, TargetError
from shared.reading import decode_json, read_plain

LOCK_NAME = ".lock"


class _Holder(msgspec.Struct, frozen=True):
    """The process that holds a directory, and when it began to, as a person reads it."""

    pid: int
    since: str


@contextlib.contextmanager
def hold(directory: Path) -> Iterator[Path]:
    """Hold a directory against other processes, and give it; it is made if there is none.

    The lock ends with the process, however that ends; a file that is left over by a SIGKILL locks
    nobody out. One that is empty at the end is removed, and so are those above
    it that were made for it.

    Raises:
        TargetError: another process holds it, or it cannot be written to.
    """
    with _parents_of(directory):
        path = directory / LOCK_NAME
        try:
            directory.mkdir(parents=True, exist_ok=True)
            handle = _lock(path)
        except BlockingIOError:
            raise TargetError(
                directory,
                expected="no other run with this target",
                found=_holder_of(path),
                hint="wait for it, or give another target",
            ) from None
        except OSError as error:
            with contextlib.suppress(OSError):  # it is not empty, or not there
                directory.rmdir()
            raise TargetError(directory, found=error.strerror or str(error)) from None
        try:
            yield directory
        finally:
            # Before the lock is let go of: the name may be another's afterwards.
            with contextlib.suppress(OSError):
                path.unlink()
                directory.rmdir()
            os.close(handle)


@contextlib.contextmanager
def _parents_of(directory: Path) -> Iterator[None]:
    """Remove those at the end that were not there before, and are empty."""
    missing = [parent for parent in directory.parents if not os.path.lexists(parent)]
    try:
        yield
    finally:
        for parent in missing:
            with contextlib.suppress(OSError):  # it is not empty, or not there
                parent.rmdir()


def _lock(path: Path) -> int:
    """Open, lock and sign the file; return its descriptor.

    Raises:
        BlockingIOError: another process has locked it.
    """
    while True:
        handle = os.open(path, os.O_RDWR | os.O_CREAT | os.O_NOFOLLOW, 0o666)
        try:
            fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
            # One that ended in between has taken the name off the file that was opened.
            if _is_named(path, handle):
                holder = _Holder(os.getpid(), time.strftime("%Y-%m-%d %H:%M:%S"))
                # It locks without a signature, too: of a full disk who writes more will tell.
                with contextlib.suppress(OSError):
                    os.ftruncate(handle, 0)
                    os.pwrite(handle, msgspec.json.encode(holder), 0)
                return handle
        except BaseException:
            os.close(handle)
            raise
        os.close(handle)


def _is_named(path: Path, handle: int) -> bool:
    try:
        return os.path.samestat(path.stat(), os.fstat(handle))
    except FileNotFoundError:
        return False


def _holder_of(path: Path) -> str:
    try:
        holder = decode_json(read_plain(path, at_most=4096), _Holder, path, expected="who holds it")
    except (OSError, ContractError):  # it has not signed yet
        return "one that has just begun"
    return f"process {holder.pid}, which has held it since {holder.since}"
