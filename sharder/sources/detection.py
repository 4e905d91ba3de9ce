"""What encoding a text is in, by a look at many places of it."""

from __future__ import annotations

from sharder.records.codec import codec_name
from sharder.records.encoding import UTF8, Encoding, resolve
from sharder.sources.compression import Compression
from sharder.sources.origin import Origin
from sharder.sources.sampling import sample_bytes
from shared.errors import SourceError

_PLACES = 64
_PLACE_BYTES = 1 << 16
_STREAM_BYTES = 16 << 20

_ESCAPE = b"\x1b$"  # ISO 2022 is all ASCII, but for such sequences
_MOST_BYTES = 200_000  # chardet looks at no more

# Below this chardet guesses. Seen with ten lines and more: 0.09 and above where it was right about
# Japanese, Chinese, Korean and Cyrillic; 0.03 and below where it took one code page of Western or
# Central Europe for another.
_SURE = 0.05


def detect(origin: Origin, compression: Compression | None) -> Encoding:
    """Say what a text is written in.

    Raises:
        SourceError: it cannot be told.
    """
    # Not at the top: few runs need it.
    import chardet
    from chardet.enums import EncodingEra

    head, *others = sample_bytes(
        origin,
        compression,
        places=_PLACES,
        place_bytes=_PLACE_BYTES,
        stream_bytes=_STREAM_BYTES,
    )
    if b"\0" in head:
        telling = [head]  # UTF-16, in which a line is not found by its bytes
    else:
        telling = [
            line
            for sample in (head, *others)
            for line in _whole_lines(sample)
            if not line.isascii() or _ESCAPE in line
        ]
        telling = telling[:: sum(map(len, telling)) // _MOST_BYTES + 1]
        # Valid UTF-8 is never that by chance, and a few damaged lines make it nothing else.
        if sum(map(_is_utf8, telling)) >= 0.9 * len(telling):
            return UTF8
    text = b"\n".join(telling)
    found = chardet.detect(text, max_bytes=_MOST_BYTES, encoding_era=EncodingEra.MODERN_WEB)
    name, confidence = found["encoding"], found["confidence"]
    if not name or confidence < _SURE:
        guess = f"at best {name}" if name else "nothing that fits"
        raise SourceError(
            f"{origin.name}: encoding",
            expected="text whose encoding can be told",
            found=guess,
            hint="name it, such as --encoding cp1252",
        )
    return resolve(Encoding(codec_name(name)), text)


def _whole_lines(sample: bytes) -> list[bytes]:
    """Return lines, without the first and the last, which may be cut within a character."""
    lines = sample.split(b"\n")
    return lines[1:-1] if len(lines) > 2 else lines


def _is_utf8(data: bytes) -> bool:
    if _ESCAPE in data:
        return False
    try:
        data.decode()
    except UnicodeDecodeError:
        return False
    return True
