"""A source read from its start on: unpacked, and decoded if its records cannot be found before."""

from __future__ import annotations

import io
from dataclasses import dataclass
from typing import Self

from sharder.records.encoding import Encoding
from sharder.sources.compression import Compression, intact, unpack
from sharder.sources.origin import Origin, readable

_BUFFER_BYTES = 1 << 20


@dataclass(frozen=True)
class Chunk:
    """Some bytes of a source, which follow those of the chunk before.

    Attributes:
        data: the bytes; in UTF-8, if records cannot be found before they are decoded.
        last: whether the source ends with it. A last record without a line end has got one.
        offset: of the first byte in the source, unpacked.
        n_read: number of bytes that its origin gave for it.
    """

    data: bytes
    last: bool
    offset: int = 0
    n_read: int = 0

    def __sizeof__(self) -> int:
        return len(self.data)  # a cluster places tasks by it


class Stream:
    """One reading of a source, from its start to its end.

    Attributes:
        ended: whether the last chunk was read.
    """

    def __init__(
        self,
        origin: Origin,
        compression: Compression | None,
        encoding: Encoding,
        *,
        line_end: bytes = b"\n",
        again: bool = False,
    ) -> None:
        """Open it.

        Args:
            origin: where the bytes come from.
            compression: what they are packed with.
            encoding: of the text.
            line_end: completes a last record that has none.
            again: whether the origin will be opened another time.
        """
        self._origin, self._compression, self._encoding = origin, compression, encoding
        self._line_end = line_end
        self._raw = origin.open(again=again)
        self._file = io.BufferedReader(unpack(self._raw, compression), _BUFFER_BYTES)
        self._decoder = None if encoding.is_searchable else encoding.decoder()
        self._rest = b""  # taken, but not given out yet
        self._offset = 0  # of the rest
        self._taken = 0  # bytes, unpacked
        self._reported = 0  # bytes that the origin gave for the chunks so far
        self._is_line_start = True
        self.ended = False

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *error: object) -> None:
        self.close()

    def close(self) -> None:
        """Close it; a pipe stays open."""
        self._file.close()
        self._raw.close()

    def read(self, size: int) -> Chunk:
        """Return the next chunk, of `size` bytes of the source unpacked; empty behind the end.

        Raises:
            SourceError: it cannot be read, or what it is packed in is damaged.
        """
        if self.ended:
            return Chunk(b"", last=False, offset=self._offset)
        offset = self._offset
        data, self.ended = self._take(size)
        if data:
            self._is_line_start = data.endswith((b"\n", b"\r"))
        if self.ended and not self._is_line_start:
            data += self._line_end
        n_read = self._raw.tell() - self._reported
        self._reported += n_read
        if self.ended:
            self._origin.size = self._reported
        return Chunk(data, self.ended, offset, n_read)

    def skip(self, size: int) -> None:
        """Skip the first `size` bytes of the text, which end with a line end."""
        ended = False
        while size > 0 and not ended:
            offset = self._offset
            data, ended = self._take(size)
            skipped = data[:size]
            self._rest = data[size:]
            size -= len(skipped)
        if self._rest:
            self._offset = offset + len(self._encoding.source_bytes(skipped))

    def _take(self, size: int) -> tuple[bytes, bool]:
        """Return the rest and what comes next, and whether the source ends with it."""
        with readable(self._origin.name), intact(self._origin.name, self._compression, self._raw):
            data = self._file.read(max(size - len(self._rest), 0))
            ended = not self._file.peek(1)
        self._taken += len(data)
        self._offset = self._taken
        if self._decoder:
            data = self._decoder.decode(data, ended).encode("utf-8", "surrogatepass")
            self._offset -= len(self._decoder.getstate()[0])
        if self._rest:
            data, self._rest = self._rest + data, b""
        return data, ended
