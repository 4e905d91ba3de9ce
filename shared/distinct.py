"""The different values of one column, block after block: counted while they are few."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from shared.counting import frequent
from shared.hashing import Hashes, hash_values, is_whole
from shared.schema import MAX_EXTREME_CHARACTERS
from shared.sketch import Frequent, Limits, Sketch
from shared.tally import Counts, Tally, Values, lay_together

Value = int | float | str

_MAX_PARTS = 32


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
        parts = sum(tally.parts for tally in self.tallies.values())
        # So seldom that laying the blocks together costs little, so often that it takes no memory.
        if (
            waiting > 2 * self.limits.values
            or parts > _MAX_PARTS
            or self._text_bytes() > 1.5 * self.limits.text_bytes
        ):
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
        self.frequent.add(zip(map(spell, values.tolist()), counts.tolist(), strict=True))

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
        numbers = ((float(text), count) for text, count in found.items())
        self.frequent.add(
            (speller(int(number) if number.is_integer() else number), count)
            for number, count in numbers
        )

    def as_floats(self) -> None:
        """Make floats of integers beyond 2**53, since the column turned out to have floats.

        In a block with a float they were read as such, and as integers in others.
        """
        self._settle()
        if self.tallies is None or "integer" not in self.tallies:
            return
        values, counts = self.tallies["integer"].settle()
        floats = values.astype(np.float64)
        large = ~is_whole(floats)
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
        whole = is_whole(values)
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
