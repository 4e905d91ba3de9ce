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
from typing import TypeVar

import msgspec

from shared.errors import ContractError

T = TypeVar("T")


def open_plain(file: Path) -> io.FileIO:
    """Open a file to read it; a link is followed.

    Raises:
        OSError: it cannot be opened, or is no plain file.
    """
    # Opening a pipe waits for who writes to it, but for this flag.
    opened = io.FileIO(os.open(file, os.O_RDONLY | os.O_NONBLOCK | os.O_CLOEXEC))
    if not stat.S_ISREG(os.fstat(opened.fileno()).st_mode):
        opened.close()
        raise OSError(errno.EINVAL, "no plain file", str(file))
    return opened


def read_plain(file: Path, *, at_most: int) -> bytes:
    """Return the bytes of a file.

    Args:
        file: its path; a link is followed.
        at_most: number of bytes that it may have.

    Raises:
        OSError: it cannot be read, is no plain file, or has more bytes.
    """
    with open_plain(file) as opened:
        data = opened.readall() if os.fstat(opened.fileno()).st_size <= at_most else None
    # The kernel's own files say that they are empty.
    if data is None or len(data) > at_most:
        raise OSError(errno.EFBIG, f"more than {at_most:,} bytes", str(file))
    return data


def decode_json(data: bytes, type_: type[T], file: Path, *, expected: str, hint: str = "") -> T:
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
