"""How many different values, and which are frequent: counted while they are few, then estimated.

The estimate of the number is a bottom-k sketch: the k smallest 64-bit hashes of the values seen.
It is a function of the *set* of values, so neither the order of the records nor the cut of the
blocks changes it. Written here, not taken from a sketch library, since those take one value a
call: 90 ns for each of a hundred million fields, where NumPy hashes and filters one in 4 ns.

The frequent values come from the `frequent_strings_sketch` of Apache DataSketches.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable
from typing import Any

import datasketches
import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc
import xxhash

Value = int | float | str
# All values of a block: numbers, or texts (a pyarrow.StringArray; mypy knows nothing of Arrow).
Values = Any
Counts = npt.NDArray[np.int64]
Hashes = npt.NDArray[np.uint64]

# Size of the sketch: the standard error is 1 / sqrt(k - 2) = 1.6 %.
SKETCH_SIZE = 4096

# The most different values of one column that are counted exactly, and the most text they hold.
# Both bound memory: a dict item costs about 150 bytes.
MAX_EXACT_VALUES = 10_000
MAX_EXACT_BYTES = 1 << 20
_MAX_ALL_EXACT_VALUES = 500_000  # of all columns of a table together

# Once the values of a block are too many to count, those are noted that this share of its records
# has. So a count may miss at most this share of all records: it is a lower bound.
FREQUENT_SHARE = 0.001
# Longer texts are prose; nobody looks for the most frequent ones, and they would fill the memory.
MAX_TOP_BYTES = 1024
_LG_MAX_FREQUENT = 12  # 3,072 counters


def exact_limit(n_columns: int) -> int:
    """Return how many different values are counted exactly in each of `n_columns` columns."""
    return max(100, min(MAX_EXACT_VALUES, _MAX_ALL_EXACT_VALUES // max(n_columns, 1)))


def hash_numbers(values: npt.NDArray[np.int64] | npt.NDArray[np.float64]) -> Hashes:
    """Hash numbers of shape (N,); 1 and 1.0 are the same number.

    The mixing is the finaliser of splitmix64 (Steele, Lea, Flood: Fast splittable pseudorandom
    number generators, OOPSLA 2014).
    """
    if values.dtype == np.float64:
        whole = np.abs(values) < 2**53
        whole &= values == np.floor(values)
        # + 0.0 makes one number of 0.0 and -0.0.
        bits = (values + 0.0).view(np.uint64)
        bits[whole] = values[whole].astype(np.int64).view(np.uint64)
    else:
        bits = values.astype(np.int64).view(np.uint64)
    return mix(bits)


def mix(bits: Hashes) -> Hashes:
    """Return the splitmix64 hash of 64-bit integers of shape (N,)."""
    z = bits + np.uint64(0x9E3779B97F4A7C15)
    z = (z ^ (z >> np.uint64(30))) * np.uint64(0xBF58476D1CE4E5B9)
    z = (z ^ (z >> np.uint64(27))) * np.uint64(0x94D049BB133111EB)
    return z ^ (z >> np.uint64(31))


def hash_values(values: Values) -> Hashes:
    """Hash values of shape (N,)."""
    if not isinstance(values, pa.Array):
        return hash_numbers(values)
    # A text that is a plain integer has the hash of the integer: a column of ids may turn out to
    # be text when half of it is counted.
    integers = pc.match_substring_regex(values, r"^(0|-?[1-9]\d{0,17})$")
    hashes = np.empty(len(values), np.uint64)
    mask = integers.to_numpy(zero_copy_only=False)
    hashes[mask] = hash_numbers(values.filter(integers).cast(pa.int64()).to_numpy())
    texts = values.filter(pc.invert(integers)).to_pylist()
    hashes[~mask] = [xxhash.xxh3_64_intdigest(text.encode()) for text in texts]
    return hashes


def frequent(values: Values, counts: Counts) -> tuple[Values, Counts]:
    """Return the values of a block that many of its records have."""
    many = np.flatnonzero(counts >= max(2, FREQUENT_SHARE * counts.sum()))
    return values.take(pa.array(many)) if isinstance(values, pa.Array) else values[many], counts[
        many
    ]


def _to_list(values: Values) -> list[Value]:
    found: list[Value] = values.to_pylist() if isinstance(values, pa.Array) else values.tolist()
    return found


def smallest(hashes: Hashes) -> Hashes:
    """Return the `SKETCH_SIZE` smallest different hashes, sorted."""
    if len(hashes) > 4 * SKETCH_SIZE:
        # Sort only twice the share that will do if all are different; if it will not, sort all.
        few = hashes[hashes <= np.uint64(2 * SKETCH_SIZE * 2**64 // len(hashes))]
        if len(found := _unique(few)) >= SKETCH_SIZE:
            return found[:SKETCH_SIZE]
    return _unique(hashes)[:SKETCH_SIZE]


def _unique(hashes: Hashes) -> Hashes:
    # np.unique builds a hash table here, which is five times slower than to sort.
    hashes = np.sort(hashes)
    return hashes[np.concatenate([[True], hashes[1:] != hashes[:-1]])] if len(hashes) else hashes


class Distinct:
    """The different values of one column: a `Counter` while they are few, then two sketches."""

    def __init__(self, limit: int) -> None:
        """Begin with no value; `limit` is the most values counted exactly."""
        self._limit = limit
        self._counts: Counter[Value] | None = Counter()
        self._text_bytes = 0
        self._hashes = np.empty(0, np.uint64)
        self._frequent = datasketches.frequent_strings_sketch(_LG_MAX_FREQUENT)

    @property
    def exact(self) -> bool:
        """Whether every value was counted so far."""
        return self._counts is not None

    def add(self, values: Values, counts: Counts, hashes: Hashes | None) -> None:
        """Add a block.

        Args:
            values: (V,) all different values of the block, or the frequent ones.
            counts: (V,) number of records that have each.
            hashes: None if `values` holds all; else the smallest hashes of all values.
        """
        if self._counts is not None and hashes is None:
            self._count(values, counts, self._counts)
            return
        if self._counts is not None:
            self._give_up_counting()
        self._sketch(values, counts, hash_values(values) if hashes is None else hashes)

    def _count(self, values: Values, counts: Counts, counted: Counter[Value]) -> None:
        before = len(counted)
        for value, count in zip(_to_list(values), counts.tolist(), strict=True):
            counted[value] += count
        if len(counted) > before and isinstance(values, pa.Array):
            self._text_bytes = sum(len(value) for value in counted if isinstance(value, str))
        if len(counted) > self._limit or self._text_bytes > MAX_EXACT_BYTES:
            self._give_up_counting()

    def _give_up_counting(self) -> None:
        counted, self._counts = self._counts or Counter(), None
        for kind in (str, (int, float)):
            values = [value for value in counted if isinstance(value, kind)]
            if values:
                array = pa.array(values) if kind is str else np.array(values)
                counts = np.array([counted[value] for value in values])
                self._sketch(array, counts, hash_values(array))

    def _sketch(self, values: Values, counts: Counts, hashes: Hashes) -> None:
        self._hashes = smallest(np.concatenate([self._hashes, hashes]))
        values, counts = frequent(values, counts)
        for value, count in zip(_to_list(values), counts.tolist(), strict=True):
            text = spell(value)
            if len(text) <= MAX_TOP_BYTES:
                self._frequent.update(text, count)

    def respell(self, speller: Callable[[Value], str]) -> None:
        """Turn the numbers counted so far into texts, since the column turned out to be text."""
        if self._counts is not None:
            self._counts = Counter({speller(value): n for value, n in self._counts.items()})
            return
        found, self._frequent = (
            self._found(),
            datasketches.frequent_strings_sketch(_LG_MAX_FREQUENT),
        )
        for text, count in found.items():
            number = float(text)
            self._frequent.update(speller(int(number) if number.is_integer() else number), count)

    def _found(self) -> dict[str, int]:
        """Return the frequent values and lower bounds of their counts."""
        items = self._frequent.get_frequent_items(
            datasketches.frequent_items_error_type.NO_FALSE_NEGATIVES
        )
        return {text: lower for text, _, lower, _ in items if lower > 1}

    def count(self) -> int:
        """Return the number of different values; an estimate where not `exact`."""
        if self._counts is not None:
            return len(self._counts)
        return _estimate(self._hashes)

    def top(self, most: int) -> list[tuple[str, int]]:
        """Return the most frequent values and their counts; lower bounds where not `exact`."""
        if self._counts is not None:
            counts: dict[str, int] = {}
            for value, count in self._counts.items():
                counts[spell(value)] = counts.get(spell(value), 0) + count
        else:
            counts = self._found()
        return sorted(counts.items(), key=lambda item: (-item[1], item[0]))[:most]


def spell(value: Value) -> str:
    """Return a value as text; a number in its shortest form."""
    if isinstance(value, float):
        return repr(int(value)) if value.is_integer() and abs(value) < 2**53 else repr(value)
    return value if isinstance(value, str) else repr(value)


def _estimate(hashes: Hashes) -> int:
    """Estimate the size of a set from its smallest hashes.

    Unbiased: (k - 1) / u, where u is the k-th smallest hash as a share of the range (Beyer et
    al.: On synopses for distinct-value estimation under multiset operations, SIGMOD 2007).
    """
    if len(hashes) < SKETCH_SIZE:
        return len(hashes)
    return round((SKETCH_SIZE - 1) * 2**64 / int(hashes[-1]))
