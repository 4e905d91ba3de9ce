"""One shard: its file, proven to be the one that the manifest tells of, and read into arrays."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from pathlib import Path

import msgspec
import pyarrow as pa
import xxhash

from shared.errors import ContractError
from trainer.features.encode import Batch, Encoder
from trainer.features.read import Types, read_records

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


def read_shard(shard: Shard, encoder: Encoder) -> Batch:
    """Read a shard into arrays of `shard.records` records.

    Raises:
        ContractError: the file has vanished or changed, is too large for the memory, or a field
            does not fit its column. The path is part of the message.
    """
    data = load_shard(shard)
    with named(shard):
        batch = encoder.encode_csv(data)
    if len(batch.x) != shard.records:
        raise ContractError(
            shard.path,
            expected=f"{shard.records} records",
            found=f"{len(batch.x)}",
            hint=f"the shard has changed: {_AGAIN}",
        )
    return batch


def read_table(shard: Shard, types: Types) -> pa.RecordBatch:
    """Read some columns of a shard.

    Raises:
        ContractError: as `read_shard`.
    """
    data = load_shard(shard)
    with named(shard):
        return read_records(data, types)


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


def load_shard(shard: Shard) -> bytes:
    """Return the bytes of a shard, checked against the manifest.

    The checksum costs 20 µs of the 1 ms that a shard takes, so every epoch can afford it.
    """
    try:
        with Path(shard.path).open("rb") as file:
            data = file.read(shard.bytes if shard.may_grow else None)
    except MemoryError:
        raise _too_large(shard) from None
    except OSError as error:
        raise ContractError(
            shard.path, expected="a shard", found=error.strerror or str(error), hint=_AGAIN
        ) from None
    if shard.bytes is not None and len(data) != shard.bytes:
        raise ContractError(
            shard.path,
            expected=f"{shard.bytes} bytes, as in the manifest",
            found=f"{len(data)}",
            hint=f"the shard has changed: {_AGAIN}",
        )
    if shard.xxh3_128 is not None and xxhash.xxh3_128_hexdigest(data) != shard.xxh3_128:
        raise ContractError(
            shard.path,
            expected="the checksum "
            + ("it had before" if shard.bytes is None else "in the manifest"),
            found="another one",
            hint=f"the shard has changed: {_AGAIN}",
        )
    return data
