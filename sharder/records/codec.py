"""The names of character encodings: any that Python has."""

from __future__ import annotations

import codecs

# Instead of a name: detect it.
AUTO = "auto"

# Japanese data that is called Shift_JIS is what Windows writes: with ①, ㈱ and 髙.
_MEANT = {"shift_jis": "cp932", "utf-8-sig": "utf-8"}

# Text encodings of Python that no file is in.
_NO_FILE = {"idna", "punycode", "undefined", "unicode_escape", "raw_unicode_escape"}


def codec_name(name: str) -> str:
    """Return Python's own name for an encoding.

    Raises:
        LookupError: Python knows none of this name, or it is not one of text files.
    """
    try:
        found = codecs.lookup(name)
    except ValueError as error:  # a zero byte in the name
        raise LookupError(name) from error
    # Some of Python's codecs are no encodings of text: base64, zip.
    if not getattr(found, "_is_text_encoding", True) or found.name.replace("-", "_") in _NO_FILE:
        raise LookupError(name)
    return _MEANT.get(found.name, found.name)
