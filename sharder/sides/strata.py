"""Sides by class: of each class, each side gets its share, exact to one record.

Where the k-th record of a class goes is a function of the seed, the class and k. So all that must
go through the blocks in order (chain 5) is how many records of each class came before; the rest
is parallel.

A thousand records of a class in a row (fewer, where the shares allow it) are a window, of which
each side gets its share. The window is cut into as many equal parts as it has records that are not
for training, and each of those draws a place in its own part; lots say for which side it is. Where
a side would get a whole record ahead of its share by that, or fall behind it, the other takes the
place: so at every record the count of each side is less than one record off, wherever the sources
end. Of three sides that each take what their share was so far, rounded up or down, one can always
go on so. (Baruah, Cohen, Plaxton, Varvel: Proportionate progress: a notion of fairness in resource
allocation, Algorithmica 1996.)
"""

from __future__ import annotations

import math
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import numpy.typing as npt
import xxhash

from shared.errors import ConfigError
from shared.layout import Side
from shared.manifest import Split
from shared.splitmix import mix

Sides = npt.NDArray[np.uint8]
Ints = npt.NDArray[np.int64]
Hashes = npt.NDArray[np.uint64]

# Shares are multiples of a thousandth, so that windows are short.
WINDOW = 1000

# What is kept of each class is its text and a count.
MAX_CLASSES = 100_000
_MAX_CHARACTERS = 16 << 20

# Places that are dealt at once.
_PLACES = 1 << 22


@dataclass(frozen=True)
class Classes:
    """The classes of some records.

    Attributes:
        names: the different ones, as they are spelled.
        codes: (R,) that of each record, index into `names`.
    """

    names: list[str]
    codes: Ints

    @classmethod
    def of(cls, fields: Any) -> Classes:
        """Find the classes of some fields, a pyarrow.StringArray; an empty field is one, too."""
        coded = fields.dictionary_encode()
        return cls(coded.dictionary.to_pylist(), coded.indices.to_numpy().astype(np.int64))

    def counts(self) -> Ints:
        """Return how many of the records each class has, in the order of `names`."""
        return np.bincount(self.codes, minlength=len(self.names))


@dataclass(frozen=True)
class Strata:
    """How many records of each class there were so far."""

    counts: dict[str, int] = field(default_factory=dict)

    def add(self, classes: Classes, *, column: str) -> Strata:
        """Return what it is behind some records.

        Raises:
            ConfigError: there are more classes than can be kept.
        """
        counts = self.counts.copy()
        for name, number in zip(classes.names, classes.counts().tolist(), strict=True):
            counts[name] = counts.get(name, 0) + number
        is_new = len(counts) > len(self.counts)
        if is_new and (len(counts) > MAX_CLASSES or sum(map(len, counts)) > _MAX_CHARACTERS):
            raise ConfigError(
                f"--stratify {column}",
                expected=f"at most {MAX_CLASSES:,} different values",
                found="more, or very long ones",
                hint="name a column of few values, such as the label",
            )
        return Strata(counts)


def quotas(split: Split) -> tuple[int, int, int]:
    """Return how many records of a window go to training, validation and test."""
    validate, test = (
        round(share * WINDOW) for share in (split.validate_fraction, split.test_fraction)
    )
    divisor = math.gcd(WINDOW, validate, test)
    return (WINDOW - validate - test) // divisor, validate // divisor, test // divisor


def assign_classes(split: Split, classes: Classes, before: Strata) -> Sides:
    """Return the side of each record, (R,).

    Args:
        split: the rule.
        classes: of the records.
        before: the records before them.
    """
    counts = classes.counts()
    order = np.argsort(classes.codes, kind="stable")
    ranks = np.arange(len(order)) - np.repeat(np.cumsum(counts) - counts, counts)
    earlier = np.array([before.counts.get(name, 0) for name in classes.names], np.int64)
    window, place = np.divmod(ranks + np.repeat(earlier, counts), size := sum(quotas(split)))
    # Records of one class follow each other here, and so do those of one window.
    code = classes.codes[order]
    first = np.concatenate([[True], (np.diff(window) != 0) | (np.diff(code) != 0)])[: len(order)]
    row = np.cumsum(first) - 1
    hashes = [xxhash.xxh3_64_intdigest(name.encode(), split.seed) for name in classes.names]
    keys = mix(np.array(hashes, np.uint64)[code[first]] + mix(window[first].astype(np.uint64)))
    dealt = np.empty(len(order), np.uint8)
    rows = max(_PLACES // size, 1)
    for start in range(0, len(keys), rows):
        some = slice(*np.searchsorted(row, [start, start + rows]))
        table = deal(keys[start : start + rows], quotas(split))
        dealt[some] = table[row[some] - start, place[some]]
    sides = np.empty(len(order), np.uint8)
    sides[order] = dealt
    return sides


def deal(keys: Hashes, quota: tuple[int, int, int]) -> Sides:
    """Return which side each place of some windows goes to, (W, sum of the quotas).

    Args:
        keys: (W,) random numbers.
        quota: how many places of a window each side gets.
    """
    size, kept = sum(quota), quota[1] + quota[2]
    # (W, kept + 1) each: from which place on the n-th record is kept from training, and which of
    # its sides it is drawn for, as two lots: the sooner one wins.
    parts = np.arange(kept + 1, dtype=np.uint64)
    drawn = [_uniform(mix(mix(keys + np.uint64(lot))[:, None] + parts)) for lot in range(3)]
    turns = (parts + drawn[0]) * (size / max(kept, 1))
    lots = [-np.log1p(-drawn[side]) / max(quota[side], 1) for side in (1, 2)]
    given = np.zeros((len(keys), len(quota)), np.int64)
    dealt = np.empty((len(keys), size), np.uint8)
    rows = np.arange(len(keys))
    for place in range(size):
        number = place - given[:, 0]
        training = np.where(turns[rows, number] < place + 1, np.inf, -1)
        wish = np.stack([training, *(of[rows, number] for of in lots)], axis=1)
        # A side must not be a whole record ahead of its share, nor behind it.
        behind = np.array(quota) * (place + 1) - given * size
        wish[behind <= 0] = np.inf
        wish[behind >= size] = -np.inf
        # Only where training alone may have the place, all are infinite.
        dealt[:, place] = side = np.argmin(wish, axis=1)
        given[rows, side] += 1
    return dealt


def _uniform(bits: Hashes) -> npt.NDArray[np.float64]:
    """Return random numbers from 0 to 1, exclusive."""
    return (bits >> np.uint64(11)).astype(np.float64) * 2.0**-53


def find_unequal(split: Split, counts: dict[Side, dict[str, int]]) -> str:
    """Return what is not as the rule says of the number of records of each class on each side."""
    shares = dict(zip(Side, np.array(quotas(split)) / sum(quotas(split)), strict=True))
    for name in sorted(set().union(*counts.values())):
        of = {side: counts.get(side, {}).get(name, 0) for side in Side}
        for side, share in shares.items():
            if abs(of[side] - share * sum(of.values())) >= 1:
                return f"{of[side]:,} of {sum(of.values()):,} with {name!r} on the {side} side"
    return ""
