"""What is told of the features before training."""

from __future__ import annotations

from trainer.features.spec import FeatureSpec

# With shards of 1000 records, training on 5,000 numbers took 1.5 GiB.
_MANY_COLUMNS = 4000


def describe_left_out(left_out: dict[str, str]) -> list[str]:
    """Return a line on each column that was left out."""
    return [f"{name or '(no name)'}: left out, {reason}" for name, reason in left_out.items()]


def describe_width(spec: FeatureSpec) -> list[str]:
    """Return a line on what so many columns take, if 1.5 GiB of memory may not do for them."""
    if len(spec.features) <= _MANY_COLUMNS or spec.transform is not None:
        return []
    return [
        f"{len(spec.features):,} columns: this may take more than 1.5 GiB of memory, and minutes "
        "to save the model; less with fewer columns (--drop), or with shards of fewer records "
        "(sharder split --rows-per-shard 200)"
    ]
