"""What is told of the features before training."""

from __future__ import annotations

from collections.abc import Sequence

import msgspec

from trainer.derive.forecast import forecast_memory
from trainer.features.spec import FeatureSpec
from trainer.shards.shard import Shard

# What is promised, in MiB.
_MOST = 1536
# To build, save and load the model of 5,000 takes half a minute, of twice as many four times that.
_MANY_COLUMNS = 5000


def describe_left_out(left_out: dict[str, str]) -> list[str]:
    """Return a line on each column that was left out."""
    return [f"{name or '(no name)'}: left out, {reason}" for name, reason in left_out.items()]


def describe_size(spec: FeatureSpec, shards: Sequence[Shard]) -> list[str]:
    """Return a line on what training takes, if it is more than 1.5 GiB of memory, or minutes more.

    Args:
        spec: what X and Y are made of.
        shards: those of the training side.
    """
    if spec.transform is not None:
        return []
    told = []
    columns = f"{len(spec.features):,} columns"
    records = max(shard.records for shard in shards)
    if (needed := forecast_memory(spec, shards)) > _MOST:
        fewer = max(1, records // 10)
        remedy = "fewer columns (--drop)"
        if forecast_memory(spec, [_cut(shard, fewer) for shard in shards]) <= _MOST:
            remedy = f"shards of fewer records (sharder split --rows-per-shard {fewer})"
        told.append(
            f"{columns}, {records:,} records a shard: this may take {needed / 1024:.1f} GiB of "
            f"memory; less with {remedy}"
        )
    if len(spec.features) > _MANY_COLUMNS:
        told.append(f"{columns}: it takes minutes to save the model, twice")
    return told


def _cut(shard: Shard, records: int) -> Shard:
    """Return a shard of fewer records, as far as its size goes."""
    share = min(1.0, records / max(shard.records, 1))
    size = None if shard.bytes is None else int(shard.bytes * share)
    return msgspec.structs.replace(shard, records=min(records, shard.records), bytes=size)
