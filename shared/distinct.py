"""How many different values, and which are frequent: counted while they are few, then estimated.

The estimate of the number is a bottom-k sketch: the k smallest 64-bit hashes of the values seen.
It is a function of the *set* of values, so neither the order of the records nor the cut of the
blocks changes it. Written here, not taken from a sketch library, since those take one value a
call: 90 ns for each of a hundred million fields, where NumPy hashes and filters one in 4 ns.

The frequent values come from the `frequent_strings_sketch` of Apache DataSketches.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from typing import Any

import datasketches
import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc
import xxhash

from shared.schema import MAX_EXTREME_CHARACTERS
from shared.splitmix import mix
from shared.tally import Counts, Tally, Values, lay_together

Value = int | float | str
Hashes = npt.NDArray[np.uint64]

# The most hashes in a sketch: the standard error is 1 / sqrt(k - 2) = 1.6 %.
MAX_SKETCH_SIZE = 4096

# Once the values of a block are too many to count, those are noted that this share of its records
# has. So a count may miss at most this share of all records: it is a lower bound.
FREQUENT_SHARE = 0.001
# Longer texts are prose; nobody looks for the most frequent ones, and they would fill the memory.
MAX_TOP_BYTES = 256

# Values are told apart by the top bits of their hashes, in a table that the cache holds.
_BUCKETS = 1 << 16
_BUCKET_SHIFT = np.uint64(64 - 16)


@dataclass(frozen=True)
class Limits:
    """How much one column may keep, so that all columns of a table together stay in bounds.

    Attributes:
        values, text_bytes: the most different values that are counted exactly, and the most bytes
            that they hold if they are texts.
        hashes: k, the size of the sketch of the number of different values.
        lg_frequent: logarithm of the size of the table of frequent values.
    """

    values: int
    text_bytes: int
    hashes: int
    lg_frequent: int

    @classmethod
    def of_table(cls, n_columns: int) -> Limits:
        """Return the limits of each of `n_columns` columns.

        Up to a hundred columns have as much as any; beyond, they share 16 MiB for what is counted,
        beyond five hundred 16 MiB for hashes, and about as much for frequent texts.
        """
        share = (16 << 20) // max(n_columns, 1)
        return cls(
            values=min(10_000, share // 16),
            text_bytes=min(1 << 20, share),
            hashes=min(MAX_SKETCH_SIZE, share // 8),
            lg_frequent=max(5, min(12, 17 - max(n_columns, 1).bit_length())),
        )

    @property
    def standard_error(self) -> float:
        """Of an estimated number of different values, as a share of it."""
        return float((self.hashes - 2) ** -0.5)


def hash_numbers(values: npt.NDArray[np.int64] | npt.NDArray[np.float64]) -> Hashes:
    """Hash numbers of shape (N,); 1 and 1.0 are the same number."""
    if values.dtype == np.int64:
        return mix(values.view(np.uint64))
    whole = _is_whole(values)
    # + 0.0 makes one number of 0.0 and -0.0.
    bits = (values + 0.0).view(np.uint64)
    bits[whole] = values[whole].astype(np.int64).view(np.uint64)
    return mix(bits)


def _is_whole(values: npt.NDArray[Any]) -> npt.NDArray[np.bool_]:
    """Tell which floats are integers that a float can tell from their neighbours."""
    whole: npt.NDArray[np.bool_] = np.abs(values) < 2**53
    whole &= values == np.floor(values)
    return whole


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
        values, counts = np.unique(numbers, return_counts=True)
        if len(values) <= limits.values:
            return values, counts, None
        return *frequent(values, counts), smallest(hash_numbers(values), limits.hashes, len(values))
    crowded = filled >= _frequent_count(len(numbers))
    values, counts = np.unique(numbers[crowded[buckets]], return_counts=True)
    return *frequent(values, counts, len(numbers)), smallest(hashes, limits.hashes, at_least)


def count_texts(
    texts: pa.StringArray, limits: Limits
) -> tuple[pa.StringArray, Counts, Hashes | None]:
    """Count the different texts of a block, (N,) without nulls; else as `count_numbers`."""
    counted = texts.value_counts()
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


@dataclass
class Sketch:
    """The smallest different hashes of a set, from which its size is estimated.

    Attributes:
        size: k, how many are kept.
        parts: arrays of hashes, among which are the k smallest.
        limit: no larger hash is among the k smallest.
    """

    size: int
    parts: list[Hashes] = field(default_factory=list)
    limit: int = 2**64 - 1

    def add(self, hashes: Hashes) -> None:
        """Add hashes, (N,), in any order; some may be the same."""
        self.parts.append(hashes[hashes <= np.uint64(self.limit)])
        if sum(map(len, self.parts)) > 2 * self.size:
            self._settle()

    def estimate(self) -> int:
        """Estimate the number of different hashes.

        Unbiased: (k - 1) / u, where u is the k-th smallest hash as a share of the range (Beyer et
        al.: On synopses for distinct-value estimation under multiset operations, SIGMOD 2007).
        """
        found = self._settle()
        if len(found) < self.size:
            return len(found)
        return round((self.size - 1) * 2**64 / int(found[-1]))

    def _settle(self) -> Hashes:
        # Not np.unique, which builds a hash table here: five times slower than to sort.
        found = np.sort(np.concatenate([np.empty(0, np.uint64), *self.parts]))
        if len(found):
            found = found[np.concatenate([[True], found[1:] != found[:-1]])][: self.size]
        if len(found) == self.size:
            self.limit = int(found[-1])
        # A copy, so that what was cut off is let go.
        self.parts = [found.copy()]
        return found


class Frequent:
    """The frequent texts of a column, as a sketch counts them."""

    def __init__(self, lg_size: int) -> None:
        """Begin with none; `lg_size` is the logarithm of the size of the sketch's table."""
        self._sketch = datasketches.frequent_strings_sketch(lg_size)

    def dump(self) -> bytes:
        """Return it in a form that `load` reads."""
        dumped: bytes = self._sketch.serialize()
        return dumped

    @classmethod
    def load(cls, dumped: bytes) -> Frequent:
        """Return what was dumped."""
        loaded = cls.__new__(cls)
        loaded._sketch = datasketches.frequent_strings_sketch.deserialize(dumped)
        return loaded

    def add(self, text: str, count: int) -> None:
        """Count a text, unless it is too long to be kept."""
        if len(text) <= MAX_TOP_BYTES:
            self._sketch.update(text, count)

    def found(self) -> dict[str, int]:
        """Return the frequent texts and lower bounds of their counts."""
        items = self._sketch.get_frequent_items(
            datasketches.frequent_items_error_type.NO_FALSE_NEGATIVES
        )
        return {text: lower for text, _, lower, _ in items if lower > 1}


@dataclass
class Distinct:
    """The different values of one column: tallies while they are few, then two sketches.

    Attributes:
        limits: how much may be kept.
        tallies: of texts, integers, and other numbers; None once they were too many.
        sketch, frequent: of all values since then, and of those before.
    """

    limits: Limits
    tallies: dict[str, Tally] | None
    sketch: Sketch
    frequent: Frequent

    @classmethod
    def begin(cls, limits: Limits) -> Distinct:
        """Begin with no value."""
        return cls(limits, {}, Sketch(limits.hashes), Frequent(limits.lg_frequent))

    @property
    def exact(self) -> bool:
        """Whether every value was counted so far."""
        self._settle()
        return self.tallies is not None

    def add(self, values: Values, counts: Counts, hashes: Hashes | None) -> None:
        """Add a block.

        Args:
            values: (V,) all different values of the block, or the frequent ones.
            counts: (V,) number of records that have each.
            hashes: None if `values` holds all; else the smallest hashes of all values.
        """
        if self.tallies is None:
            self._sketch(values, counts, hash_values(values) if hashes is None else hashes)
            return
        if hashes is not None:
            self._give_up_counting()
            self._sketch(values, counts, hashes)
            return
        for kind, some, of_each in _kinds(values, counts):
            self.tallies.setdefault(kind, Tally()).add(some, of_each)
        waiting = sum(tally.waiting for tally in self.tallies.values())
        # So seldom that laying the blocks together costs little, so often that it takes no memory.
        if waiting > 2 * self.limits.values or self._text_bytes() > 1.5 * self.limits.text_bytes:
            self._settle()

    def _text_bytes(self) -> int:
        tallies = self.tallies or {}
        return tallies["text"].nbytes if "text" in tallies else 0

    def _settle(self) -> None:
        """Lay the blocks added so far together; give up counting if the values are too many."""
        if self.tallies is None:
            return
        for tally in self.tallies.values():
            tally.settle()
        values = sum(len(tally) for tally in self.tallies.values())
        if values > self.limits.values or self._text_bytes() > self.limits.text_bytes:
            self._give_up_counting()

    def _give_up_counting(self) -> None:
        tallies, self.tallies = self.tallies or {}, None
        for tally in tallies.values():
            values, counts = tally.settle()
            self._sketch(values, counts, hash_values(values))

    def _sketch(self, values: Values, counts: Counts, hashes: Hashes) -> None:
        self.sketch.add(hashes)
        values, counts = frequent(values, counts)
        for value, count in zip(values.tolist(), counts.tolist(), strict=True):
            self.frequent.add(spell(value), count)

    def respell(self, speller: Callable[[Value], str]) -> None:
        """Turn the numbers counted so far into texts, since the column turned out to be text."""
        if self.tallies is not None:
            tallies, self.tallies = self.tallies, {}
            for tally in tallies.values():
                values, counts = tally.settle()
                texts = pa.array([speller(value) for value in values.tolist()], pa.string())
                self.add(texts, counts, None)
            return
        found, self.frequent = self.frequent.found(), Frequent(self.limits.lg_frequent)
        for text, count in found.items():
            number = float(text)
            self.frequent.add(speller(int(number) if number.is_integer() else number), count)

    def as_floats(self) -> None:
        """Make floats of integers beyond 2**53, since the column turned out to have floats.

        In a block with a float they were read as such, and as integers in others.
        """
        self._settle()
        if self.tallies is None or "integer" not in self.tallies:
            return
        values, counts = self.tallies["integer"].settle()
        floats = values.astype(np.float64)
        large = ~_is_whole(floats)
        if large.any():
            self.tallies["integer"] = Tally()
            self.tallies["integer"].add(values[~large], counts[~large])
            found = lay_together((floats[large],), counts[large])
            self.tallies.setdefault("number", Tally()).add(*found)
            self._settle()

    def count(self) -> int:
        """Return the number of different values; an estimate where not `exact`."""
        self._settle()
        if self.tallies is not None:
            return sum(len(tally) for tally in self.tallies.values())
        return self.sketch.estimate()

    def extremes(self) -> tuple[str, str]:
        """Return the least and the greatest text of a column of texts that is `exact`."""
        self._settle()
        values, _ = (self.tallies or {})["text"].settle()
        found = pc.min_max(values).as_py()
        return found["min"][:MAX_EXTREME_CHARACTERS], found["max"][:MAX_EXTREME_CHARACTERS]

    def top(self, most: int) -> list[tuple[str, int]]:
        """Return the most frequent values and their counts; lower bounds where not `exact`."""
        self._settle()
        if self.tallies is None:
            counts = self.frequent.found()
        else:
            counts = {
                spell(value): count
                for tally in self.tallies.values()
                for value, count in zip(*map(_to_list, tally.settle()), strict=True)
            }
        return sorted(counts.items(), key=lambda item: (-item[1], item[0]))[:most]


def _kinds(values: Values, counts: Counts) -> Iterator[tuple[str, Values, Counts]]:
    """Yield texts, integers and other numbers apart; 1.0 is an integer."""
    if isinstance(values, pa.Array):
        yield "text", values, counts
    elif values.dtype == np.int64:
        yield "integer", values, counts
    else:
        whole = _is_whole(values)
        if whole.any():
            yield "integer", values[whole].astype(np.int64), counts[whole]
        if not whole.all():
            yield "number", values[~whole], counts[~whole]


def _to_list(values: Values) -> list[Any]:
    found: list[Any] = values.tolist()
    return found


def spell(value: Value) -> str:
    """Return a value as text; a number in its shortest form."""
    if isinstance(value, float):
        return repr(int(value)) if value.is_integer() and abs(value) < 2**53 else repr(value)
    return value if isinstance(value, str) else repr(value)
