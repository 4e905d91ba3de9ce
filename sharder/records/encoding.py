"""Character encodings: any of Python's in, UTF-8 out.

In most encodings a quote, a comma or a line end is one byte that is never part of another
character. Then records are found on the bytes of the source, and each block is decoded as a whole,
in parallel. In the others (UTF-16, ISO-2022-JP, EBCDIC) the text must be decoded before records
can be found, in order; bytes that are no text pass through as lone surrogates, which UTF-8 cannot
have, so the records that have them are found where records are looked into.
"""

from __future__ import annotations

import codecs
from dataclasses import dataclass, replace
from functools import cache, cached_property

import numpy as np

from sharder.records.decoder import KEEP, KEPT, KEPT_RUN, EscapeDecoder
from sharder.records.lines import Positions, move
from shared.dialect import PLAIN


@dataclass(frozen=True)
class Text:
    """Records in UTF-8.

    Attributes:
        data: the bytes of the records.
        starts, ends: (R,) where each lies in `data`.
        bad: the records that are not in their encoding, in order; what `data` has of them is
            not UTF-8, or nothing.
    """

    data: bytes
    starts: Positions
    ends: Positions
    bad: list[int]


@dataclass(frozen=True)
class Encoding:
    """A character encoding.

    Attributes:
        name: as Python's `codecs` has it.
        structure: the bytes that have a meaning in the dialect of the text.
    """

    name: str
    structure: bytes = PLAIN.structure

    @cached_property
    def is_searchable(self) -> bool:
        """Whether records can be found on the bytes, without decoding them."""
        return _is_searchable(self.name, self.structure)

    @property
    def label(self) -> str:
        """The name, for people."""
        return self.name.upper() if self.name.startswith("utf") else self.name

    def decoder(self) -> codecs.IncrementalDecoder:
        """Return a decoder for bytes that come in pieces; what is no text, it keeps."""
        if self.name.startswith("iso2022"):
            return EscapeDecoder(self.name)
        return codecs.getincrementaldecoder(self.name)(KEEP)

    def source_bytes(self, data: bytes) -> bytes:
        """Return the bytes of the source that data of a block was made of.

        Args:
            data: from the start of a record on. Of an encoding with escape sequences
                (ISO-2022-JP), those are taken to stand only where they are needed.
        """
        if self.is_searchable:
            return data
        encoder = codecs.getincrementalencoder(self.name)()
        parts: list[bytes] = []
        for index, part in enumerate(KEPT_RUN.split(data.decode("utf-8", "surrogatepass"))):
            if index % 2:
                parts.append(bytes(ord(kept) - KEPT for kept in part))
                encoder.reset()  # escape sequences are kept, too
            else:
                parts.append(encoder.encode(part))
        return b"".join(parts)

    def to_utf8(self, data: bytes, starts: Positions, ends: Positions) -> Text:
        """Return the records of a block in UTF-8.

        Args:
            data: of whole records; in UTF-8 already, if records cannot be found on the bytes.
            starts: (R,) where each begins in `data`, behind a line end.
            ends: (R,) where each ends in `data`, line end included.
        """
        if not self.is_searchable or self.name == "utf-8":
            bad = [] if _is_utf8(data) else _find_bad(data, starts, ends, "utf-8")
            return Text(data, starts, ends, bad)
        try:
            utf8 = data.decode(self.name).encode()
        except UnicodeDecodeError:
            return self._one_by_one(data, starts, ends)
        if utf8 == data:
            return Text(data, starts, ends, [])
        return Text(utf8, move(starts, data, utf8), move(ends, data, utf8), [])

    def _one_by_one(self, data: bytes, starts: Positions, ends: Positions) -> Text:
        bad = _find_bad(data, starts, ends, self.name)
        skipped = set(bad)
        spans = enumerate(zip(starts.tolist(), ends.tolist(), strict=True))
        records = [
            b"" if record in skipped else data[start:end].decode(self.name).encode()
            for record, (start, end) in spans
        ]
        bounds = np.cumsum([0, *map(len, records)]).astype(np.int32)
        return Text(b"".join(records), bounds[:-1], bounds[1:], bad)


UTF8 = Encoding("utf-8")


def resolve(encoding: Encoding, head: bytes) -> Encoding:
    """Return the encoding of a text; for UTF-16 and UTF-32 its byte order mark says which.

    Args:
        encoding: as the user has named it.
        head: the first bytes of the text.
    """
    if encoding.name not in ("utf-16", "utf-32"):
        return encoding
    big = {"utf-16": codecs.BOM_UTF16_BE, "utf-32": codecs.BOM_UTF32_BE}[encoding.name]
    return replace(encoding, name=f"{encoding.name}-{'be' if head.startswith(big) else 'le'}")


@cache
def _is_searchable(name: str, structure: bytes) -> bool:
    """Tell whether the bytes that structure a CSV are never anything else in an encoding."""

    def decode(*bytes_: int) -> str:
        return bytes(bytes_).decode(name, "replace")

    if name.startswith("iso2022"):  # behind an escape sequence, every byte is something else
        return False
    if decode(*range(128)) != bytes(range(128)).decode("ascii"):
        return False
    # Three, since a character may have more than two bytes.
    return all(
        decode(byte, s, s, s).count(chr(s)) == 3 for byte in range(128, 256) for s in structure
    )


def _is_utf8(data: bytes) -> bool:
    if data.isascii():
        return True
    # Not at the top: a run without a profile, of plain ASCII, needs no Arrow, which takes 60 ms.
    import pyarrow as pa

    offsets = pa.py_buffer(np.array([0, len(data)], np.int32))
    try:
        # Arrow checks without making a text of it; what Python would make takes up to 4 bytes
        # for each character.
        pa.StringArray.from_buffers(1, offsets, pa.py_buffer(data)).validate(full=True)
    except pa.ArrowInvalid:
        return False
    return True


def _find_bad(data: bytes, starts: Positions, ends: Positions, name: str) -> list[int]:
    """Return the records whose bytes are not of an encoding."""
    spans = enumerate(zip(starts.tolist(), ends.tolist(), strict=True))
    return [record for record, (start, end) in spans if not _is_text(data[start:end], name)]


def _is_text(data: bytes, name: str) -> bool:
    try:
        data.decode(name)
    except UnicodeDecodeError:
        return False
    return True
