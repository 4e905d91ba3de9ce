"""The features: which columns go into the model, and how their fields become numbers.

A spec is plain data: it travels to the workers and into `run.json` as JSON. `trainer.derive` makes
it from the profile of a dataset.

The features of B records are one float32 matrix X of shape (B, F), its columns in this order:

    numbers         standardised, one for each `Number`
    indicators      1 where the field is missing, for the `Number`s and `Timestamp`s that say so
    cycles          the `WAVES` of each `Timestamp`
    categories      an index for each `Vocabulary` and `Hashed`, exact in float32 up to 2**24

One matrix, since it is the cheapest to transport and cache, and a plain MLP takes it as it is.
"""

from __future__ import annotations

from typing import NamedTuple

import msgspec

from trainer.label import LabelSpec

# The six columns of a timestamp.
WAVES = tuple(
    f"{wave}({cycle})"
    for cycle in ("time of day", "day of week", "day of year")
    for wave in ("sin", "cos")
)

# Indexes of a `Vocabulary`: 0 is the empty field, 1 a value that the profile did not see.
VOCABULARY_OFFSET = 2


class Number(msgspec.Struct, frozen=True):
    """A number; a missing field counts as `fill`, and is told by the indicator."""

    column: str
    fill: float
    indicator: bool


class Standard(Number, frozen=True, tag="standard"):
    """(number - mean) / std."""

    mean: float
    std: float


class Timestamp(msgspec.Struct, frozen=True, tag="timestamp"):
    """Sine and cosine of each cycle; zeros for a missing field, which the indicator tells."""

    column: str
    indicator: bool


class Vocabulary(msgspec.Struct, frozen=True, tag="vocabulary"):
    """Index of the field among `values`, plus 2: 0 is an empty field, 1 an unknown value.

    The missing-value markers of a boolean column are values like any other.
    """

    column: str
    values: tuple[str, ...]

    @property
    def cardinality(self) -> int:
        """Number of indexes."""
        return len(self.values) + VOCABULARY_OFFSET


class Hashed(msgspec.Struct, frozen=True, tag="hashed"):
    """1 + FarmHash fingerprint64 of the field % bins; 0 is an empty field.

    This is what `keras.layers.Hashing(bins + 1, mask_value="")` gives.
    """

    column: str
    bins: int

    @property
    def cardinality(self) -> int:
        """Number of indexes."""
        return self.bins + 1


Feature = Standard | Timestamp | Vocabulary | Hashed


class Category(NamedTuple):
    """A column of X that holds an index, from 0 up to (not including) the cardinality."""

    position: int
    cardinality: int
    name: str


class FeatureSpec(msgspec.Struct, frozen=True, kw_only=True):
    """What X and Y are made of.

    Attributes:
        features: in the order of the table's columns.
        label: what is predicted.
        notes: a line on each column that was left out.
    """

    features: tuple[Feature, ...]
    label: LabelSpec
    notes: tuple[str, ...] = ()

    @property
    def numeric(self) -> list[Standard]:
        """The features that are a number each."""
        return [f for f in self.features if isinstance(f, Standard)]

    @property
    def temporal(self) -> list[Timestamp]:
        """The features that are six cycles each."""
        return [f for f in self.features if isinstance(f, Timestamp)]

    @property
    def indicated(self) -> list[Standard | Timestamp]:
        """The features that have a missing indicator, in the order of these in X."""
        features: list[Standard | Timestamp] = [*self.numeric, *self.temporal]
        return [feature for feature in features if feature.indicator]

    @property
    def categorical(self) -> list[Vocabulary | Hashed]:
        """The features that are an index each."""
        return [f for f in self.features if isinstance(f, Vocabulary | Hashed)]

    @property
    def names(self) -> list[str]:
        """A name for each of the F columns of X."""
        return [
            *(f.column for f in self.numeric),
            *(f"{f.column} is missing" for f in self.indicated),
            *(f"{f.column} {wave}" for f in self.temporal for wave in WAVES),
            *(f.column for f in self.categorical),
        ]

    @property
    def width(self) -> int:
        """F, the number of columns of X."""
        return len(self.names)

    @property
    def numbers(self) -> slice:
        """The columns of X that are quantities: numbers, indicators, cycles."""
        return slice(0, self.width - len(self.categorical))

    @property
    def categories(self) -> list[Category]:
        """The columns of X that are indexes."""
        first = self.numbers.stop
        return [
            Category(first + i, feature.cardinality, feature.column)
            for i, feature in enumerate(self.categorical)
        ]
