"""What a run takes of memory, and what follows: the size of its blocks, and how many at once."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

from sharder.config import MIB, SplitConfig
from sharder.graph.assign import SIDES
from sharder.records.encoding import UTF8
from sharder.sources.source import Source
from shared.errors import ConfigError
from shared.place import ObjectPath

# Below 2 MiB the overhead of the tasks shows, above 16 MiB only the memory grows.
_BLOCK_BYTES = 8 * MIB
# But of a large source blocks are larger, so that there are not more than these.
_MOST_BLOCKS = 1 << 16

# Where memory is short: fewer workers before blocks smaller than the first of these.
_SMALL_BLOCK_BYTES = MIB
_LEAST_BLOCK_BYTES = 64 << 10

# The peak of real runs, measured with 1 to 4 workers and blocks of 256 KiB to 32 MiB, of up to 10
# GB: the longer a run, the more its heap is in pieces. A block in work takes 2.5 times its size
# without a profile, 5 to 7.5 with one.
_PROGRAM_BYTES = 155 * MIB
_BYTES_PER_BLOCK_BYTE = 8
# Where it is decoded: nearly 9, and in UTF-8 its text may be half as long again.
_BYTES_PER_DECODED_BYTE = 12
# And where it becomes a DataFrame.
_BYTES_PER_CLEANED_BYTE = 16
# What writes to a store, and the bytes that are on their way there. Of a shard larger than a block:
# joined, cut into parts, and waiting for the network.
_STORE_BYTES = 48 * MIB
_COPIES_ON_THEIR_WAY = 3
# A table of thousands of columns: the profile of each one beyond the first thousand.
_COLUMN_BYTES = 30 << 10
# A shard in the table of all that are written, and at the end in the manifest.
_TABLE_BYTES_PER_SHARD = 24
_MANIFEST_BYTES_PER_SHARD = 350
# And where a store lists it, when a run goes on, or takes back what it has written.
_LISTED_BYTES_PER_SHARD = 1500


def fit(config: SplitConfig, sources: Sequence[Source]) -> SplitConfig:
    """Choose the size of the blocks, and the number of workers, if memory is short for those given.

    More memory than the usual blocks take is left alone, since it makes nothing faster.

    Returns:
        The config with `block_bytes` and `workers`, from which `memory_bytes` has been taken.

    Raises:
        ConfigError: there is too little memory for a single worker.
    """
    usual = replace(
        config, block_bytes=config.block_bytes or _usual_block_bytes(sources), memory_bytes=None
    )
    if config.memory_bytes is None:
        return usual
    least = foresee(replace(usual, block_bytes=_LEAST_BLOCK_BYTES, workers=1), sources)
    n_shards, fixed = estimate_shards(config, sources), _fixed_bytes(config, sources)
    if config.memory_bytes < least:
        raise ConfigError(
            "--memory",
            expected=f"at least {-(-least // MIB):,} MiB for a split of this source",
            found=f"{config.memory_bytes // MIB:,} MiB",
            hint=_way_out(n_shards, n_shards * _list_bytes_per_shard(config), fixed),
        )
    under_way = config.memory_bytes - fixed - n_shards * _TABLE_BYTES_PER_SHARD
    under_way //= _bytes_per_block_byte(config, sources)
    ahead = config.blocks_under_way - config.workers
    workers = min(config.workers, max(under_way // _SMALL_BLOCK_BYTES - ahead, 1))
    fewer = replace(usual, workers=workers)
    most = under_way // fewer.blocks_under_way // _LEAST_BLOCK_BYTES * _LEAST_BLOCK_BYTES
    return replace(fewer, block_bytes=min(most, usual.block_bytes))


def foresee(config: SplitConfig, sources: Sequence[Source]) -> int:
    """Return the number of bytes of memory that a run takes at most, with blocks of some size."""
    n_shards = estimate_shards(config, sources)
    blocks = config.blocks_under_way * config.block_bytes * _bytes_per_block_byte(config, sources)
    on_the_way = n_shards * _TABLE_BYTES_PER_SHARD + blocks
    listed = n_shards * _list_bytes_per_shard(config)
    return _fixed_bytes(config, sources) + max(on_the_way, listed)


def _bytes_per_block_byte(config: SplitConfig, sources: Sequence[Source]) -> int:
    if config.clean is not None:
        return _BYTES_PER_CLEANED_BYTE
    if any(source.encoding.name != UTF8.name for source in sources):
        return _BYTES_PER_DECODED_BYTE
    return _BYTES_PER_BLOCK_BYTE


def _list_bytes_per_shard(config: SplitConfig) -> int:
    is_store = isinstance(config.out, ObjectPath)
    return _LISTED_BYTES_PER_SHARD if is_store else _MANIFEST_BYTES_PER_SHARD


def estimate_shards(config: SplitConfig, sources: Sequence[Source]) -> int:
    """Return about how many shards there will be; of a stream, only what it has packed is known."""
    records = sum(map(_size, sources)) // _record_bytes(sources)
    return records // config.rows_per_shard + len(SIDES)


def _way_out(n_shards: int, list_bytes: int, fixed_bytes: int) -> str:
    """Return what would make a run smaller."""
    if list_bytes > _PROGRAM_BYTES:
        return (
            f"a larger --rows-per-shard makes fewer than {n_shards:,} shards, "
            f"whose list takes {list_bytes // MIB:,} MiB of it"
        )
    if fixed_bytes > 2 * _PROGRAM_BYTES:
        return "a smaller --rows-per-shard leaves fewer records over, which wait in memory"
    return ""


def _usual_block_bytes(sources: Sequence[Source]) -> int:
    most = -(-sum(map(_size, sources)) // _MOST_BLOCKS)
    return max(_BLOCK_BYTES, -(-most // MIB) * MIB)


def _fixed_bytes(config: SplitConfig, sources: Sequence[Source]) -> int:
    """Return what is taken whatever the size of the blocks: a shard's records wait on each side."""
    columns = max(len(sources[0].header) - 1000, 0) * _COLUMN_BYTES
    shard_bytes = config.rows_per_shard * _record_bytes(sources)
    known = sum(map(_size, sources)) if all(source.has_ranges for source in sources) else None
    left_over = len(SIDES) * shard_bytes
    if known is not None:
        left_over = min(left_over, known)
    fixed = _PROGRAM_BYTES + columns + left_over
    if isinstance(config.out, ObjectPath):
        fixed += _STORE_BYTES + _COPIES_ON_THEIR_WAY * left_over
    return fixed


def _size(source: Source) -> int:
    return source.origin.size or 0


def _record_bytes(sources: Sequence[Source]) -> int:
    return next(source.record_bytes for source in sources if source.record_bytes)
