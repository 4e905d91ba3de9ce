"""How many different values, and which are frequent, once they are too many to count.

The estimate of the number is a bottom-k sketch: the k smallest 64-bit hashes of the values seen.
It is a function of the *set* of values, so neither the order of the records nor the cut of the
blocks changes it. Written here, not taken from a sketch library, since those take one value a
call: 90 ns for each of a hundred million fields, where NumPy hashes and filters one in 4 ns.

The frequent values come from the `frequent_strings_sketch` of Apache DataSketches.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field

import datasketches
import numpy as np

from shared.hashing import Hashes

# The most hashes in a sketch: the standard error is 1 / sqrt(k - 2) = 1.6 %.
MAX_SKETCH_SIZE = 4096

# Longer texts are prose; nobody looks for the most frequent ones, and they would fill the memory.
MAX_TOP_BYTES = 256


MAX_LG_FREQUENT = 12
# Where a sketch that was dumped says how large its table may be, and is.
_LG_SIZES = slice(3, 5)


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
            lg_frequent=max(5, min(MAX_LG_FREQUENT, 17 - max(n_columns, 1).bit_length())),
        )

    @property
    def standard_error(self) -> float:
        """Of an estimated number of different values, as a share of it."""
        return float((self.hashes - 2) ** -0.5)


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

    def overlap(self, other: Sketch) -> int:
        """Estimate how many different hashes are in both sets: counted below both limits."""
        found = np.intersect1d(self._settle(), other._settle(), assume_unique=True)
        limit = min(self.limit, other.limit)
        counted = int(np.count_nonzero(found <= np.uint64(limit)))
        return round(counted * 2**64 / (limit + 1))

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
    """The frequent texts of a column, as a sketch counts them.

    Between two blocks it is what the sketch serialises to. The sketch forgets texts by their places
    in its table, which are others once it was on disk: a run that goes on would count differently.
    """

    def __init__(self, lg_size: int) -> None:
        """Begin with none; `lg_size` is the logarithm of the size of the sketch's table."""
        self._serialised: bytes = datasketches.frequent_strings_sketch(lg_size).serialize()

    def dump(self) -> bytes:
        """Return it in a form that `load` reads."""
        return self._serialised

    @classmethod
    def load(cls, dumped: bytes) -> Frequent:
        """Return what was dumped.

        Raises:
            ValueError: none of our sketches was.
        """
        # It would make a table of the size that stands there.
        if max(dumped[_LG_SIZES], default=0) > MAX_LG_FREQUENT:
            raise ValueError("the table of a larger sketch")
        loaded = cls.__new__(cls)
        loaded._serialised = dumped
        loaded._sketch()
        return loaded

    def add(self, counts: Iterable[tuple[str, int]]) -> None:
        """Count the texts of a block, but for those that are too long to be kept."""
        kept = [(text, count) for text, count in counts if len(text) <= MAX_TOP_BYTES]
        if kept:
            sketch = self._sketch()
            for text, count in kept:
                sketch.update(text, count)
            self._serialised = sketch.serialize()

    def found(self) -> dict[str, int]:
        """Return the frequent texts and lower bounds of their counts."""
        items = self._sketch().get_frequent_items(
            datasketches.frequent_items_error_type.NO_FALSE_NEGATIVES
        )
        return {text: lower for text, _, lower, _ in items if lower > 1}

    def _sketch(self) -> datasketches.frequent_strings_sketch:
        return datasketches.frequent_strings_sketch.deserialize(self._serialised)
