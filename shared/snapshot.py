"""The state of a long computation as bytes, and back, without pickle.

MessagePack of dataclasses and msgspec's structs, by their type annotations. NumPy's arrays and a
few other types are translated here; a class of ours may do it itself, with `dump` and `load`.
"""

from __future__ import annotations

import os
import struct
from array import array
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any, TypeVar, get_origin

import msgspec
import numpy as np
import xxhash

T = TypeVar("T")

_SIZE = struct.Struct("<Q")
_CHECKSUM_BYTES = 16


def pack(state: object) -> bytes:
    """Return a state as bytes."""
    return msgspec.msgpack.encode(state, enc_hook=_dump)


def unpack(data: bytes | memoryview, type_: type[T]) -> T:
    """Return the state that was packed.

    Raises:
        msgspec.DecodeError: it is not of this type.
    """
    try:
        return msgspec.msgpack.decode(data, type=type_, dec_hook=_load)
    except msgspec.DecodeError:
        raise
    # What libraries say of bytes that are not theirs may be anything.
    except Exception as error:
        raise msgspec.DecodeError(f"{type(error).__name__}: {error}") from error


def seal(states: Iterable[object]) -> Iterator[bytes]:
    """Yield states as bytes, each behind its size, and at the end the checksum of all.

    A state is packed when the one before it was taken: all at once may be a large part of memory.
    """
    digest = xxhash.xxh3_128()
    for state in states:
        data = pack(state)
        for part in (_SIZE.pack(len(data)), data):
            digest.update(part)
            yield part
    yield digest.digest()


def unseal(data: bytes) -> Iterator[memoryview]:
    """Yield each state that was sealed, packed as it was.

    Raises:
        msgspec.DecodeError: they are damaged.
    """
    body, checksum = memoryview(data)[:-_CHECKSUM_BYTES], data[-_CHECKSUM_BYTES:]
    if xxhash.xxh3_128_digest(body) != checksum:
        raise msgspec.DecodeError("another file than was written")
    while body:
        head, body = body[: _SIZE.size], body[_SIZE.size :]
        size = _SIZE.unpack(head)[0] if len(head) == _SIZE.size else 0
        if not 0 < size <= len(body):
            raise msgspec.DecodeError("sizes that do not add up")
        yield body[:size]
        body = body[size:]


def unseal_one(data: bytes, type_: type[T]) -> T:
    """Return the only state that was sealed.

    Raises:
        msgspec.DecodeError: it is damaged, or not of this type.
    """
    return unpack(next(unseal(data), b""), type_)


def _dump(value: Any) -> object:
    if isinstance(value, np.ndarray):
        return value.dtype.str, value.tobytes()
    if isinstance(value, np.longdouble):
        # Two floats hold the 64 digits of Intel's long double; everywhere else one will do.
        high = float(value)
        return high, float(value - np.longdouble(high))
    if isinstance(value, array):
        return value.typecode, value.tobytes()
    if isinstance(value, Path):
        return os.fsencode(value)
    return value.dump()


def _load(type_: Any, value: Any) -> object:
    kind = get_origin(type_) or type_
    if kind is np.ndarray:
        dtype, data = value
        return np.frombuffer(data, dtype)
    if kind is np.longdouble:
        high, low = value
        return np.longdouble(high) + np.longdouble(low)
    if kind is array:
        typecode, data = value
        return array(typecode, data)
    if kind is Path:
        return Path(os.fsdecode(value))
    return kind.load(value)
