"""Compressed sources: told by their first bytes, unpacked in order, in bounded memory."""

from __future__ import annotations

import io
import lzma
import re
from collections.abc import Iterator
from contextlib import contextmanager
from enum import StrEnum
from typing import Any

from shared.errors import SourceError

HEAD_BYTES = 16

_READ_BYTES = 1 << 16

# What unpacking may take, as with zstd's default; the most that `xz -9` needs is 65 MiB.
_XZ_BYTES = 128 << 20


class Compression(StrEnum):
    """A format that a source is packed in."""

    GZIP = "gzip"
    BZIP2 = "bzip2"
    XZ = "xz"
    ZSTD = "zstd"


# By content, not by name: a browser unpacks a file on the way and leaves its name as it was.
_MAGIC = {
    Compression.GZIP: re.compile(rb"\x1f\x8b"),
    Compression.BZIP2: re.compile(rb"BZh[1-9](1AY&SY|\x17rE8P\x90)"),
    Compression.XZ: re.compile(rb"\xfd7zXZ\x00"),
    # A frame, or one to be skipped, with which pzstd begins.
    Compression.ZSTD: re.compile(rb"(\x28\xb5\x2f\xfd|[\x50-\x5f]\x2a\x4d\x18)"),
}


def find_compression(name: str, head: bytes) -> Compression | None:
    """Tell how a source is compressed by its first `HEAD_BYTES`; None if it is not.

    Raises:
        SourceError: it is an archive, which may hold many files.
    """
    if head.startswith(b"PK\x03\x04"):
        raise SourceError(
            name,
            expected="a CSV, or one packed with gzip, bzip2, xz or zstd",
            found="a zip archive",
            hint=f"unpack it on the way: unzip -p {name} | sharder split - …",
        )
    return next((kind for kind, magic in _MAGIC.items() if magic.match(head)), None)


def unpack(raw: io.RawIOBase, compression: Compression | None) -> io.RawIOBase:
    """Return a stream of the unpacked bytes.

    Several members behind each other are one stream; what is behind them and is no member is an
    error, never left out.
    """
    match compression:
        case None:
            return raw
        case Compression.XZ:
            return _XzReader(raw)
        case _:
            # Not at the top: a run on plain files without a profile needs no Arrow.
            import pyarrow as pa

            codec = "bz2" if compression is Compression.BZIP2 else compression.value
            stream: io.RawIOBase = pa.CompressedInputStream(pa.PythonFile(raw, mode="r"), codec)
            return stream


@contextmanager
def intact(name: str, compression: Compression | None, raw: io.RawIOBase) -> Iterator[None]:
    """Turn what a decompressor says of damaged data into the error that names the place."""
    try:
        yield
    except (OSError, EOFError, ValueError, lzma.LZMAError) as error:  # some of Arrow's are values
        if compression is None:
            raise
        hint = f"the file is damaged or cut short: get it again, and test it with {compression} -t"
        if "emory" in str(error):
            hint = f"unpack it on the way: {compression} -dc {name} | sharder split - …"
        raise SourceError(
            f"{name}: near byte {raw.tell():,}",
            expected=f"{compression} data that is whole",
            found=str(error) or type(error).__name__,
            hint=hint,
        ) from None


class _XzReader(io.RawIOBase):
    """Unpacks xz, which Arrow cannot; Python's own `LZMAFile` leaves out what it cannot read."""

    def __init__(self, raw: io.RawIOBase) -> None:
        self._raw = raw
        self._packed = b""
        self._member: lzma.LZMADecompressor | None = None

    def readable(self) -> bool:
        return True

    def readinto(self, buffer: Any) -> int:
        data = b""
        while not data:
            if not self._packed and (self._member is None or self._member.needs_input):
                self._packed = self._raw.read(_READ_BYTES)
                if not self._packed and self._member is None:
                    return 0
                if not self._packed:
                    raise EOFError("the end within a member")
            if self._member is None:
                self._packed = self._packed.lstrip(b"\0")  # allowed between two members
                if not self._packed:
                    continue
                self._member = lzma.LZMADecompressor(lzma.FORMAT_XZ, _XZ_BYTES)
            data = self._member.decompress(self._packed, len(buffer))
            self._packed = b""
            if self._member.eof:
                self._packed, self._member = self._member.unused_data, None
        buffer[: len(data)] = data
        return len(data)
