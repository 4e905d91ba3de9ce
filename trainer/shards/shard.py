"""One shard: its file, proven to be the one that the manifest tells of."""

from __future__ import annotations

import contextlib
import io
from collections.abc import Iterator
from pathlib import Path

import msgspec
import xxhash

from shared.errors import ContractError

# Read at a time where only the checksum is asked for.
_PIECE_BYTES = 1 << 20
_AGAIN = "run the same `sharder split` command again"


class Shard(msgspec.Struct, frozen=True, array_like=True):
    """Where a shard is, and what the manifest says of it.

    Attributes:
        path: of the file.
        records: how many it holds.
        bytes: size of the file; None where there is no manifest.
        xxh3_128: checksum of the file, as `xxh128sum` prints it; where there is no manifest, that
            of the profiled file, and None before.
        may_grow: whether the file may be longer by now, since it is the last one of its side and
            has room for what `sharder split --append` adds behind its end.
    """

    path: str
    records: int
    bytes: int | None = None
    xxh3_128: str | None = None
    may_grow: bool = False


@contextlib.contextmanager
def named(shard: Shard) -> Iterator[None]:
    """Put the path of a shard into the message of an error within it."""
    try:
        yield
    except ContractError as error:
        raise ContractError(
            f"{shard.path}, {error.where}",
            expected=error.expected,
            found=error.found,
            hint=error.hint,
        ) from None
    except MemoryError:
        raise _too_large(shard) from None


def _too_large(shard: Shard) -> ContractError:
    return ContractError(
        shard.path,
        expected="memory to read the shard",
        found="too little",
        hint="give fewer --workers, or split into smaller shards (--rows-per-shard)",
    )


@contextlib.contextmanager
def read_faults(shard: Shard) -> Iterator[None]:
    """Say which shard cannot be read."""
    try:
        yield
    except MemoryError:
        raise _too_large(shard) from None
    except OSError as error:
        raise ContractError(
            shard.path, expected="a shard", found=error.strerror or str(error), hint=_AGAIN
        ) from None


def changed(shard: Shard, *, expected: str, found: str) -> ContractError:
    """Return the error for a shard that is not the one that the manifest tells of."""
    hint = f"the shard has changed: {_AGAIN}"
    return ContractError(shard.path, expected=expected, found=found, hint=hint)


def load_shard(shard: Shard) -> bytes:
    """Return the bytes of a shard, checked against the manifest.

    The checksum costs 20 µs of the 1 ms that a shard takes, so every epoch can afford it.
    """
    with read_faults(shard), Path(shard.path).open("rb") as file:
        data = file.read(shard.bytes if shard.may_grow else None)
    _check(shard, len(data), xxhash.xxh3_128(data))
    return data


class ShardFile(io.RawIOBase):
    """The bytes of a shard as they come, which are checked against the manifest at their end."""

    def __init__(self, shard: Shard) -> None:
        """Open the file.

        Raises:
            OSError: it cannot be opened.
        """
        self._shard = shard
        self._file = io.FileIO(shard.path)
        self._size = 0
        self._digest = xxhash.xxh3_128()

    def readable(self) -> bool:
        """Return True."""
        return True

    def read(self, size: int = -1) -> bytes:
        """Return the next bytes; none at the end."""
        if self._shard.may_grow and self._shard.bytes is not None:
            left = self._shard.bytes - self._size
            size = left if size < 0 else min(size, left)
        data = self._file.read(size)
        self._size += len(data)
        self._digest.update(data)
        return data

    def check(self) -> None:
        """Read what is left, and check all of it.

        Raises:
            ContractError: they are others than the manifest tells of.
        """
        while self.read(_PIECE_BYTES):
            pass
        _check(self._shard, self._size, self._digest)

    def close(self) -> None:
        """Close the file."""
        self._file.close()
        super().close()


@contextlib.contextmanager
def opened(shard: Shard) -> Iterator[ShardFile]:
    """Open a shard whose bytes need not all be in memory.

    Its end, and also an error in what was read of it, is where it is checked: what has changed need
    not be a CSV.

    Raises:
        ContractError: it cannot be read, or is not the one that the manifest tells of.
    """
    with read_faults(shard), ShardFile(shard) as file:
        try:
            yield file
        except ContractError:
            with ShardFile(shard) as again:  # another thread may still read the first
                again.check()
            raise
        file.check()


def _check(shard: Shard, size: int, digest: xxhash.xxh3_128) -> None:
    if shard.bytes is not None and size != shard.bytes:
        expected = f"{shard.bytes} bytes, as in the manifest"
        raise changed(shard, expected=expected, found=f"{size}")
    if shard.xxh3_128 is not None and digest.hexdigest() != shard.xxh3_128:
        expected = "it had before" if shard.bytes is None else "in the manifest"
        raise changed(shard, expected=f"the checksum {expected}", found="another one")
