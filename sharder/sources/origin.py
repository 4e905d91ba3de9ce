"""Where the bytes of a source come from: a file, a pipe, or an object in a store."""

from __future__ import annotations

import contextlib
import io
import os
import select
import weakref
from abc import ABC, abstractmethod
from collections.abc import Hashable, Iterator
from pathlib import Path
from typing import Any

import xxhash

from shared.errors import SourceError, UnreadableError, remedy

# The part of an object that is fetched at a time when it is read from its start on.
_REMOTE_BYTES = 8 << 20
_REMOTE_HEAD_BYTES = 1 << 18

# The ends of a source that are looked at to tell whether it has changed.
_END_BYTES = 1 << 16


class Origin(ABC):
    """Bytes that can be read from their start on, and in ranges if the place allows it.

    Attributes:
        name: as the user gave it, and as it is told of; another one may be given to it.
        size: in bytes; None as long as it is not known.
        has_ranges: whether any range of the bytes can be read, in parallel.
        identity: equal for two names of the same thing.
        version: tells whether it has changed: when it was written, or what the store says of it.
        path: of a file, from whatever directory; None if it is none.
    """

    name: str
    size: int | None
    has_ranges: bool
    identity: Hashable
    version: str = ""
    path: Path | None = None

    @abstractmethod
    def open(self, *, again: bool) -> io.RawIOBase:
        """Open it at its start; `tell` of what is returned counts the bytes read.

        Args:
            again: whether it will be opened another time.

        Raises:
            SourceError: it cannot be opened.
        """

    @abstractmethod
    def read(self, offset: int, size: int) -> bytes:
        """Return a range of the bytes, fewer where they end.

        Raises:
            SourceError: it cannot be read.
        """

    def checksum_ends(self) -> str | None:
        """Return the checksum of the first and the last 64 KiB; None if there are no ranges.

        Raises:
            SourceError: they cannot be read.
        """
        if not self.has_ranges or self.size is None:
            return None
        size = min(_END_BYTES, self.size)
        ends = self.read(0, size) + self.read(self.size - size, size)
        return xxhash.xxh3_128_hexdigest(ends)

    def interrupt(self) -> None:  # noqa: B027 -- only a pipe waits for long
        """End a read that is waiting in another thread."""


class LocalFile(Origin):
    """A file."""

    has_ranges = True
    path: Path

    def __init__(self, name: str) -> None:
        """Look at the file."""
        self.name = name
        self.path = Path(name).absolute()
        with readable(name), self.path.open("rb") as file:
            status = os.fstat(file.fileno())
        self.size, self.identity = status.st_size, (status.st_dev, status.st_ino)
        self.version = str(status.st_mtime_ns)

    def open(self, *, again: bool) -> io.RawIOBase:  # noqa: ARG002
        """Open it at its start."""
        with readable(self.name):
            return self.path.open("rb", buffering=0)

    def read(self, offset: int, size: int) -> bytes:
        """Return a range of the bytes."""
        with readable(self.name), self.path.open("rb") as file:
            file.seek(offset)
            return file.read(size)


class Pipe(Origin):
    """A stream that can be read only once: stdin, a named pipe, a device.

    It can be opened more than once all the same: what was read `again` is kept, and read again.
    When it was read to its end, its size is known, and the checksum of its ends.
    """

    size: int | None = None
    has_ranges = False

    def __init__(self, name: str, handle: int | None = None) -> None:
        """Open the stream; this waits for who writes to a named pipe.

        Args:
            name: as the user gave it.
            handle: of the stream, if it is open already.
        """
        self.name = name
        with readable(name):
            self._file = os.open(name, os.O_RDONLY) if handle is None else os.dup(handle)
            status = os.fstat(self._file)
        self.identity = status.st_dev, status.st_ino
        self.kept = bytearray()
        self._head, self._tail = bytearray(), bytearray()  # of all that was read
        self._interrupted, self._interrupt = os.pipe()
        for opened in (self._file, self._interrupted, self._interrupt):
            weakref.finalize(self, os.close, opened)

    def open(self, *, again: bool) -> io.RawIOBase:
        """Open it at its start."""
        return _PipeReader(self, keep=again)

    def read(self, offset: int, size: int) -> bytes:
        """Never asked for, since there are no ranges."""
        raise NotImplementedError

    def checksum_ends(self) -> str | None:
        """Return the checksum that a file of the same bytes has; None as long as it is read."""
        return None if self.size is None else xxhash.xxh3_128_hexdigest(self._head + self._tail)

    def take(self, buffer: memoryview) -> int:
        """Read what comes next, at least a byte unless the stream has ended."""
        ready, _, _ = select.select([self._file, self._interrupted], [], [])
        count = 0 if self._interrupted in ready else os.readv(self._file, [buffer])
        taken = buffer[:count]
        self._head += taken[: _END_BYTES - len(self._head)]
        self._tail += taken[-_END_BYTES:]
        del self._tail[:-_END_BYTES]
        return count

    def interrupt(self) -> None:
        """End a read that is waiting in another thread."""
        os.write(self._interrupt, b"x")


class _PipeReader(io.RawIOBase):
    """One reading of a pipe, from its start."""

    def __init__(self, pipe: Pipe, *, keep: bool) -> None:
        self._pipe = pipe
        self._keep = keep
        self._position = 0

    def readable(self) -> bool:
        return True

    def tell(self) -> int:
        return self._position

    def readinto(self, buffer: Any) -> int:
        kept, view = self._pipe.kept, memoryview(buffer).cast("B")
        if self._position < len(kept):
            known = kept[self._position : self._position + len(view)]
            count = len(known)
            view[:count] = known
        else:
            if not self._keep:
                self._pipe.kept = bytearray()
            count = self._pipe.take(view)
            if self._keep:
                kept += view[:count]
        self._position += count
        return count


class RemoteFile(Origin):
    """An object that fsspec reads: s3://, gs://, https://, memory://, and others."""

    def __init__(self, name: str, file_system: Any, path: str) -> None:
        """Ask the store for the object's size.

        Args:
            name: as the user gave it.
            file_system: of fsspec.
            path: as the file system has it.
        """
        self.name = name
        self.identity = file_system.unstrip_protocol(path)
        self._file_system, self._path = file_system, path
        with readable(name):
            info = file_system.info(path)
        if info.get("type") == "directory":
            raise SourceError(name, expected="an object", found="a directory", hint="end it in /*")
        self.size = info.get("size")
        self.version = str(info.get("ETag") or info.get("mtime") or "")
        # Web servers say whether they give ranges; all other stores do.
        self.has_ranges = self.size is not None and bool(info.get("partial", True))

    def open(self, *, again: bool) -> io.RawIOBase:
        """Open it at its start."""
        # If it will be opened again, this is a look at its head.
        ahead = _REMOTE_HEAD_BYTES if again else _REMOTE_BYTES
        options = {"block_size": ahead, "cache_type": "readahead"}
        with readable(self.name):
            file: io.RawIOBase = self._file_system.open(
                self._path, "rb", **(options if self.has_ranges else {"block_size": 0})
            )
            return file

    def read(self, offset: int, size: int) -> bytes:
        """Return a range of the bytes."""
        with readable(self.name):
            return bytes(self._file_system.cat_file(self._path, start=offset, end=offset + size))


@contextlib.contextmanager
def readable(name: str) -> Iterator[None]:
    """Turn what goes wrong with a place into the error that names it.

    Stores have errors of their own, of any class.
    """
    try:
        yield
    except SourceError:
        raise
    except FileNotFoundError as error:
        # A web address that does not answer is "not found", too.
        why = f": {error.__cause__}" if error.__cause__ else ""
        raise SourceError(name, expected="a CSV file", found=f"no such file{why}") from None
    except OSError as error:
        found = error.strerror or str(error) or type(error).__name__
        raise UnreadableError(
            name, expected="a readable file", found=found, hint=remedy(error)
        ) from None
    except ImportError as error:
        raise SourceError(name, expected="a package that reads it", found=str(error)) from None
    except Exception as error:
        found = f"{type(error).__name__}: {error}"
        raise UnreadableError(name, expected="a readable file", found=found) from error
