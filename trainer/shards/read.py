"""The records of a shard, read part by part, and what becomes of them."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import TypeVar

import pyarrow as pa
import pyarrow.csv

from trainer.features.blocks import BlockTooSmallError
from trainer.features.encode import Batch, Encoder, lay_end_to_end
from trainer.features.read import (
    Types,
    convert_options,
    read_header,
    read_records,
    stream_records,
)
from trainer.shards.shard import Shard, changed, load_shard, named, opened, read_faults

Reduced = TypeVar("Reduced")

# Arrow parses a block at once, which takes some five times its size. A shard that is no larger is
# one block, which saves Arrow to look for the last record in it, and us to join the parts. Smaller
# blocks cost time where there are thousands of columns, since each call costs; the larger ones are
# for records that are longer than the first. Figures in docs/decisions.md.
BLOCK_BYTES = (4 << 20, 16 << 20)


def read_shard(shard: Shard, encoder: Encoder) -> Batch:
    """Read a shard into arrays of `shard.records` records.

    Raises:
        ContractError: the file has vanished or changed, is too large for the memory, or a field
            does not fit its column. The path is part of the message.
    """

    def encode(parts: Iterator[pa.RecordBatch]) -> Batch:
        return lay_end_to_end(_encode(shard, encoder, parts), shard.records)

    return reduce_shard(shard, encoder.types, encode, options=encoder.options)


def read_table(shard: Shard, types: Types) -> pa.RecordBatch:
    """Read some columns of a shard.

    Raises:
        ContractError: as `read_shard`.
    """
    return reduce_shard(shard, types, lambda parts: pa.concat_batches(list(parts)))


def reduce_shard(
    shard: Shard,
    types: Types,
    reduce: Callable[[Iterator[pa.RecordBatch]], Reduced],
    *,
    options: pyarrow.csv.ConvertOptions | None = None,
) -> Reduced:
    """Return what a function makes of the records of a shard.

    They come part by part, one or more, so that only what is kept of them is in memory. The
    checksum is known when all were read: until then, nothing of them gets out of here.

    Args:
        shard: the shard.
        types: the columns to read, and how.
        reduce: takes all the parts. It may be called again, from the first part on.
        options: what `trainer.features.read.convert_options` makes of these types, for who reads
            many.

    Raises:
        ContractError: as `read_shard`.
    """
    options = options or convert_options(types)
    with read_faults(shard):
        size = Path(shard.path).stat().st_size if shard.bytes is None else shard.bytes
    if size <= BLOCK_BYTES[0]:
        data = load_shard(shard)
        with named(shard):
            records = read_records(data, types, options)
        return reduce(_counted(shard, iter([records])))
    for block_bytes in (*(block for block in BLOCK_BYTES if block < size), size + 1):
        try:
            with opened(shard) as file:
                parts = stream_records(
                    file,
                    types,
                    options,
                    block_bytes=block_bytes,
                    names=lambda: read_header(Path(shard.path)),
                )
                return reduce(_counted(shard, _named(shard, parts)))
        except BlockTooSmallError:
            continue
    raise changed(shard, expected=f"{size} bytes", found="more")


def _encode(shard: Shard, encoder: Encoder, parts: Iterator[pa.RecordBatch]) -> Iterator[Batch]:
    if encoder.wants_whole_shards:
        parts = iter([pa.concat_batches(list(parts))])
    before = 0
    for records in parts:
        with named(shard):
            batch = encoder.encode(records, before)
        before += len(records)
        yield batch


def _named(shard: Shard, parts: Iterator[pa.RecordBatch]) -> Iterator[pa.RecordBatch]:
    with named(shard):
        yield from parts


def _counted(shard: Shard, parts: Iterator[pa.RecordBatch]) -> Iterator[pa.RecordBatch]:
    """Pass on the records of a shard, and no more than it is to have.

    Raises:
        ContractError: it has more, or fewer.
    """
    found = 0
    for records in parts:
        found += len(records)
        if found <= shard.records:
            yield records
    if found != shard.records:
        raise changed(shard, expected=f"{shard.records} records", found=f"{found}")
