"""Files that anybody may have made: plain ones only, and never more of one than was expected.

A pipe would keep a program waiting for ever, a device has no end, a sparse file of a terabyte takes
no room in an archive, and JSON may be nested more deeply than a parser goes.
"""

from __future__ import annotations

import errno
import io
import os
import stat
from pathlib import Path
from typing import BinaryIO, TypeVar, overload

import msgspec

from shared.errors import ContractError
from shared.place import ObjectPath, Place

T = TypeVar("T")


@overload
def open_plain(file: Path) -> io.FileIO: ...
@overload
def open_plain(file: Place) -> io.FileIO | BinaryIO: ...
def open_plain(file: Place) -> io.FileIO | BinaryIO:
    """Open a file, or an object in a store, to read it; a link is followed.

    Raises:
        OSError: it cannot be opened, or is no plain file.
    """
    if isinstance(file, ObjectPath):
        return file.open()
    # Opening a pipe waits for who writes to it, but for this flag.
    opened = io.FileIO(os.open(file, os.O_RDONLY | os.O_NONBLOCK | os.O_CLOEXEC))
    if not stat.S_ISREG(os.fstat(opened.fileno()).st_mode):
        opened.close()
        raise OSError(errno.EINVAL, "no plain file", str(file))
    return opened


def read_plain(file: Place, *, at_most: int) -> bytes:
    """Return the bytes of a file, or of an object in a store.

    Args:
        file: its path; a link is followed.
        at_most: number of bytes that it may have.

    Raises:
        OSError: it cannot be read, is no plain file, or has more bytes.
    """
    if isinstance(file, ObjectPath):
        data: bytes | None = file.read(at_most)
    else:
        with open_plain(file) as opened:
            data = opened.readall() if os.fstat(opened.fileno()).st_size <= at_most else None
    # The kernel's own files say that they are empty.
    if data is None or len(data) > at_most:
        raise OSError(errno.EFBIG, f"more than {at_most:,} bytes", str(file))
    return data


def list_names(directory: Place) -> list[str]:
    """Return the names in a directory, in order; none if there is no such directory.

    Raises:
        OSError: it cannot be read.
    """
    if isinstance(directory, ObjectPath):
        return directory.names()
    return sorted(path.name for path in directory.iterdir()) if directory.is_dir() else []


def decode_json(data: bytes, type_: type[T], file: Place, *, expected: str, hint: str = "") -> T:
    """Return what JSON says.

    Args:
        data: the JSON.
        type_: of what it should say.
        file: where it is from, for the error.
        expected: what it should be, for the error.
        hint: what to do if it is not.

    Raises:
        ContractError: it is not of this type.
    """
    try:
        return msgspec.json.decode(data, type=type_)
    except (msgspec.DecodeError, RecursionError, UnicodeDecodeError) as error:
        raise ContractError(file, expected=expected, found=str(error), hint=hint) from None
