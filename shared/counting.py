"""The different values of one column in one block: counted, or sketched if they are too many."""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt
import pyarrow as pa

from shared.hashing import Hashes, hash_numbers, hash_values
from shared.sketch import Limits
from shared.tally import Counts, Values

# Once the values of a block are too many to count, those are noted that this share of its records
# has. So a count may miss at most this share of all records: it is a lower bound.
FREQUENT_SHARE = 0.001

# Values are told apart by the top bits of their hashes, in a table that the cache holds.
_BUCKETS = 1 << 16
_BUCKET_SHIFT = np.uint64(64 - 16)


def count_numbers(
    numbers: npt.NDArray[Any], limits: Limits
) -> tuple[Values, Counts, Hashes | None]:
    """Count the different numbers of a block.

    Args:
        numbers: (N,) int64 or float64, at least one.
        limits: of the column.

    Returns:
        What `Distinct.add` takes.
    """
    if numbers.dtype == np.int64:
        low, high = int(numbers.min()), int(numbers.max())
        if high - low < max(len(numbers), limits.values):
            table = np.bincount(numbers - low)
            found = np.flatnonzero(table)
            if len(found) <= limits.values:
                return found + low, table[found], None
    hashes = hash_numbers(numbers)
    buckets = (hashes >> _BUCKET_SHIFT).view(np.int64)
    filled = np.bincount(buckets, minlength=_BUCKETS)
    # No fewer values than buckets. A sort, to count them all, takes ten times as long.
    at_least = int(np.count_nonzero(filled))
    if at_least <= limits.values:
        values, counts = _count_all(numbers)
        if len(values) <= limits.values:
            return values, counts, None
        return *frequent(values, counts), smallest(hash_numbers(values), limits.hashes, len(values))
    crowded = filled >= _frequent_count(len(numbers))
    in_crowd = numbers[crowded[buckets]] if crowded.any() else numbers[:0]
    values, counts = _count_all(in_crowd)
    return *frequent(values, counts, len(numbers)), smallest(hashes, limits.hashes, at_least)


def _count_all(numbers: npt.NDArray[Any]) -> tuple[Values, Counts]:
    # Arrow's table of hashes takes a third of the time of NumPy's sort. 0 is added since to Arrow
    # 0.0 and -0.0 are two numbers.
    counted = pa.array(numbers + numbers.dtype.type(0)).value_counts()
    return counted.field("values").to_numpy(), counted.field("counts").to_numpy()


def count_texts(
    texts: pa.StringArray, limits: Limits
) -> tuple[pa.StringArray, Counts, Hashes | None]:
    """Count the different texts of a block, (N,), but for nulls; else as `count_numbers`."""
    counted = texts.value_counts()
    if texts.null_count:
        counted = counted.filter(counted.field("values").is_valid())
    values, counts = counted.field("values"), counted.field("counts").to_numpy()
    if len(values) <= limits.values and values.nbytes <= limits.text_bytes:
        return values, counts, None
    return *frequent(values, counts), smallest(hash_values(values), limits.hashes, len(values))


def frequent(values: Values, counts: Counts, rows: int | None = None) -> tuple[Values, Counts]:
    """Return the values that many records have; `rows` is the number of all, if not the sum."""
    many = np.flatnonzero(counts >= _frequent_count(counts.sum() if rows is None else rows))
    chosen = values.take(pa.array(many)) if isinstance(values, pa.Array) else values[many]
    return chosen, counts[many]


def _frequent_count(rows: int) -> float:
    return max(2, FREQUENT_SHARE * rows)


def smallest(hashes: Hashes, size: int, at_least: int) -> Hashes:
    """Return hashes among which are the `size` smallest different ones.

    Args:
        hashes: (N,) in any order.
        size: k of the sketch.
        at_least: a number of which is known that no fewer of them are different.
    """
    # Not sorted, since only a few of them will be smaller than those of other blocks. If the hashes
    # are as good as random, 1.25 k are expected below this, and 15 standard deviations are spare.
    share = 1.25 * size / max(at_least, 1)
    return hashes[hashes <= np.uint64(share * 2**64)] if share < 1 else hashes
