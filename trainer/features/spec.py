"""The features: which columns go into the model, and how their fields become numbers.

A spec is plain data: it travels to the workers and into `run.json` as JSON. `trainer.derive.rules`
makes it from the profile of a dataset, and `trainer.derive.feature_file` lets a person edit it.

The features of B records are one float32 matrix X of shape (B, F), its columns in this order:

    numbers         one for each `Standard`, then each `Log`, then each `Quantile`
    indicators      1 where the field is missing, for the numbers and `Timestamp`s that say so
    times           the trend and the `WAVES` of each `Timestamp`
    categories      an index for each `Vocabulary` and `Hashed`, and as many for each `Text` as it
                    has tokens; exact in float32 up to 2**24

One matrix, since it is the cheapest to transport and cache, and a plain MLP takes it as it is.
"""

from __future__ import annotations

from datetime import datetime
from functools import cached_property
from typing import Annotated, NamedTuple

import msgspec
from msgspec import Meta

from shared.schema import ColumnType
from trainer.features.label import LabelSpec

# The six columns of a timestamp that goes in circles.
WAVES = tuple(
    f"{wave}({cycle})"
    for cycle in ("time of day", "day of week", "day of year")
    for wave in ("sin", "cos")
)

# Indexes of a `Vocabulary`: 0 is the empty field, 1 a value that the profile did not see.
VOCABULARY_OFFSET = 2

Positive = Annotated[float, Meta(gt=0)]
Size = Annotated[int, Meta(ge=1, le=4096)]
# Indexes are exact in float32 up to 2**24.
Bins = Annotated[int, Meta(ge=1, lt=1 << 24)]


class Number(msgspec.Struct, frozen=True, tag_field="encoding"):
    """A number; a missing field counts as `fill`, and is told by the indicator."""

    column: str
    fill: float
    indicator: bool


class Standard(Number, frozen=True, tag_field="encoding", tag="standard"):
    """(number - mean) / std."""

    mean: float
    std: Positive


class Log(Number, frozen=True, tag_field="encoding", tag="log"):
    """(sign(number) * log(1 + |number| / unit) - mean) / std, for heavy tails."""

    unit: Positive
    mean: float
    std: Positive


class Quantile(Number, frozen=True, tag_field="encoding", tag="quantile"):
    """The quantile of the standard normal distribution that the number is among `quantiles`.

    These are in ascending order, and divide the records into equal parts; what is beyond the first
    or the last counts as that. See `trainer.features.scaling.knots`.
    """

    quantiles: Annotated[tuple[float, ...], Meta(min_length=2)]


class Timestamp(msgspec.Struct, frozen=True, tag_field="encoding", tag="timestamp"):
    """Points on the circles of day, week and year; and the trend, -1 at `start`, 1 at `end`.

    What is before the start or after the end counts as that. All is 0 for a missing field, which
    the indicator tells.
    """

    column: str
    cyclical: bool
    trend: bool
    start: Annotated[datetime, Meta(tz=False)]
    end: Annotated[datetime, Meta(tz=False)]
    indicator: bool

    @property
    def parts(self) -> tuple[str, ...]:
        """Names of its columns in X."""
        return ("trend",) * self.trend + WAVES * self.cyclical


class Vocabulary(msgspec.Struct, frozen=True, tag_field="encoding", tag="vocabulary"):
    """Index of the field among `values`, plus 2: 0 is an empty field, 1 an unknown value.

    The missing-value markers of a boolean column are values like any other.

    Attributes:
        embedding: how many numbers stand for a value in the default model; so in the next two.
    """

    column: str
    values: Annotated[tuple[Annotated[str, Meta(min_length=1)], ...], Meta(min_length=1)]
    embedding: Size

    @property
    def cardinality(self) -> int:
        """Number of indexes."""
        return len(self.values) + VOCABULARY_OFFSET


class Hashed(msgspec.Struct, frozen=True, tag_field="encoding", tag="hashed"):
    """1 + FarmHash fingerprint64 of the field % bins; 0 is an empty field.

    This is what `keras.layers.Hashing(bins + 1, mask_value="")` gives.
    """

    column: str
    bins: Bins
    embedding: Size

    @property
    def cardinality(self) -> int:
        """Number of indexes."""
        return self.bins + 1


class Text(msgspec.Struct, frozen=True, tag_field="encoding", tag="text"):
    """The first `tokens` tokens of the field, hashed by `trainer.features.tokens`; 0 where none is.

    The default model takes the mean of their embeddings.
    """

    column: str
    bins: Bins
    tokens: Annotated[int, Meta(ge=2, le=1024)]
    embedding: Size

    @property
    def cardinality(self) -> int:
        """Number of indexes."""
        return self.bins + 1


class Given(msgspec.Struct, frozen=True, tag_field="encoding", tag="given"):
    """A number that a function of one's own gives, as it is; see `trainer.features.transform`."""

    column: str


Categorical = Vocabulary | Hashed | Text
Feature = Standard | Log | Quantile | Timestamp | Categorical | Given


class Kind(msgspec.Struct, frozen=True):
    """What a column holds that a function of one's own is given."""

    type: ColumnType
    missing: bool


class Transform(msgspec.Struct, frozen=True):
    """A function of one's own, from records to features and labels.

    Attributes:
        reference: `MODULE:FUNCTION`.
        digest: XXH3-128 of the text of the module.
        columns: what it is given, in the order of the table.
    """

    reference: str
    digest: str
    columns: dict[str, Kind]


class Category(NamedTuple):
    """Columns of X that hold indexes, from 0 up to (not including) the cardinality.

    Attributes:
        position: of the first of them.
        cardinality: number of indexes.
        name: of the table's column.
        width: number of columns of X: the tokens of a text, 1 for all else.
        embedding: how many numbers are to stand for an index.
    """

    position: int
    cardinality: int
    name: str
    width: int
    embedding: int


class FeatureSpec(msgspec.Struct, frozen=True, kw_only=True, dict=True):
    """What X and Y are made of.

    Attributes:
        features: in the order of the table's columns.
        label: what is predicted.
        left_out: the columns that are no features, and why.
        weight: name of the column that says how much each record counts.
        transform: what makes X and Y instead; each of its features is a `Given`.

    What follows from these is found once: workers ask for it with every shard.
    """

    features: tuple[Feature, ...]
    label: LabelSpec
    left_out: dict[str, str] = {}
    weight: str | None = None
    transform: Transform | None = None

    @cached_property
    def numeric(self) -> list[Standard | Log | Quantile]:
        """The features that are a number each, in the order of X."""
        return [*self.standard, *self.log, *self.quantile]

    @cached_property
    def standard(self) -> list[Standard]:
        """The numbers that are standardised."""
        return [f for f in self.features if isinstance(f, Standard)]

    @cached_property
    def log(self) -> list[Log]:
        """The numbers of which the logarithm is standardised."""
        return [f for f in self.features if isinstance(f, Log)]

    @cached_property
    def quantile(self) -> list[Quantile]:
        """The numbers that are mapped to the quantiles of a normal distribution."""
        return [f for f in self.features if isinstance(f, Quantile)]

    @cached_property
    def temporal(self) -> list[Timestamp]:
        """The features that are times."""
        return [f for f in self.features if isinstance(f, Timestamp)]

    @cached_property
    def indicated(self) -> list[Number | Timestamp]:
        """The features that have a missing indicator, in the order of these in X."""
        features: list[Number | Timestamp] = [*self.numeric, *self.temporal]
        return [feature for feature in features if feature.indicator]

    @cached_property
    def categorical(self) -> list[Categorical]:
        """The features that are indexes."""
        return [f for f in self.features if isinstance(f, Vocabulary | Hashed | Text)]

    @cached_property
    def names(self) -> list[str]:
        """A name for each of the F columns of X."""
        return [
            *(f.column for f in self.numeric),
            *(f"{f.column} is missing" for f in self.indicated),
            *(f"{f.column} {part}" for f in self.temporal for part in f.parts),
            *(name for f in self.categorical for name in _index_names(f)),
            *(f.column for f in self.features if isinstance(f, Given)),
        ]

    @cached_property
    def width(self) -> int:
        """F, the number of columns of X."""
        return len(self.names)

    @cached_property
    def record_bytes(self) -> int:
        """Size of a record in X and, in the default model, of the vectors of its categories."""
        return 4 * (self.width + sum(c.width * c.embedding for c in self.categories))

    @cached_property
    def numbers(self) -> slice:
        """The columns of X that are quantities: numbers, indicators, times."""
        indexes = sum(len(_index_names(f)) for f in self.categorical)
        return slice(0, self.width - indexes)

    @cached_property
    def categories(self) -> list[Category]:
        """The columns of X that are indexes."""
        found = []
        position = self.numbers.stop
        for f in self.categorical:
            width = len(_index_names(f))
            found.append(Category(position, f.cardinality, f.column, width, f.embedding))
            position += width
        return found


def _index_names(feature: Categorical) -> list[str]:
    if isinstance(feature, Text):
        return [f"{feature.column} token {number}" for number in range(1, feature.tokens + 1)]
    return [feature.column]
