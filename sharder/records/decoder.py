"""Decoding that loses nothing: bytes that are no text are kept as lone surrogates.

UTF-8 cannot have those, so the records with such bytes are found where records are looked into,
and their bytes can be given back.
"""

from __future__ import annotations

import codecs
import re

# A byte that is no text is kept as this code point, plus the byte.
KEPT = 0xDC00
KEPT_RUN = re.compile("([\udc00-\udcff]+)")

# The error handler that does it, by the name it has in `codecs`.
KEEP = "shardfit.keep"

# ISO 2022: an escape sequence, and those behind which bytes are ASCII (or nearly: JIS Roman).
_ESCAPE = re.compile(rb"(\x1b[\x20-\x2f]+[\x30-\x7e])")
_TO_ASCII = (b"\x1b(B", b"\x1b(J")
_LONGEST_LINE = 16 << 20
_LINE = re.compile(rb"[^\n]*\n|[^\n]+")


def _keep(bytes_: bytes) -> str:
    return "".join(chr(KEPT + byte) for byte in bytes_)


def _handle(error: UnicodeError) -> tuple[str, int]:
    if not isinstance(error, UnicodeDecodeError):
        raise error
    return _keep(error.object[error.start : error.end]), error.end


codecs.register_error(KEEP, _handle)


class EscapeDecoder(codecs.IncrementalDecoder):
    """Decodes ISO-2022-JP and its like, where a byte means what the escape sequence before says.

    It decodes whole lines. Of one that has bytes that are no text, everything but its ASCII is
    kept, escape sequences too: what they were cannot be told from the text.
    """

    def __init__(self, name: str) -> None:
        """Begin in ASCII; `name` is the codec's."""
        super().__init__(KEEP)
        self._strict = codecs.getincrementaldecoder(name)()
        self._ascii = self._strict.getstate()
        self._held = b""  # a line that has not ended yet

    def decode(self, data: bytes, final: bool = False) -> str:  # type: ignore[override]
        """Return the text of the lines that end in the bytes that come next."""
        data = self._held + data
        end = len(data) if final or len(data) > _LONGEST_LINE else data.rfind(b"\n") + 1
        data, self._held = data[:end], data[end:]
        before = self._strict.getstate()
        try:
            return self._strict.decode(data, final)
        except UnicodeDecodeError:
            self._strict.setstate(before)
            return "".join(self._decode_line(line) for line in _LINE.findall(data))

    def getstate(self) -> tuple[bytes, int]:
        """Return the bytes that wait for others, and the mode."""
        return self._held, self._strict.getstate()[1]

    def _decode_line(self, line: bytes) -> str:
        before = self._strict.getstate()
        try:
            # A character that is not whole at the end of its line never will be.
            return self._strict.decode(line, True)
        except UnicodeDecodeError:
            self._strict.setstate(before)
        text, is_ascii = "", before == self._ascii
        for index, part in enumerate(_ESCAPE.split(line)):
            if index % 2:
                before = self._strict.getstate()
                try:
                    self._strict.decode(part)  # the mode for what follows
                except UnicodeDecodeError:
                    self._strict.setstate(before)
                text += _keep(part)
                is_ascii = part in _TO_ASCII
            elif is_ascii:
                text += part.decode("ascii", KEEP)
            else:
                # Control characters are themselves in every mode.
                text += "".join(chr(byte) if byte < 0x20 else _keep(bytes([byte])) for byte in part)
        return text
