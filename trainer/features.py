"""The features: which columns go into the model, and how their fields become numbers.

A spec is derived from the profile in the manifest, so no pass over the data is needed, and it is
plain data: it travels to the workers and into `run.json` as JSON.

The features of B records are one float32 matrix X of shape (B, F), its columns in this order:

    numbers         standardised, one for each `Number`
    indicators      1 where the field is missing, for the `Number`s and `Timestamp`s that say so
    cycles          the `WAVES` of each `Timestamp`
    categories      an index for each `Vocabulary` and `Hashed`, exact in float32 up to 2**24

One matrix, since it is the cheapest to transport and cache, and a plain MLP takes it as it is.
"""

from __future__ import annotations

import math
from collections.abc import Collection, Sequence
from typing import Literal, NamedTuple

import msgspec

from shared.errors import ConfigError
from shared.schema import Column, ColumnType
from trainer.label import ClassWeight, LabelSpec, Task, derive_label

Missing = Literal["indicator", "zero"]

# The six columns of a timestamp.
WAVES = tuple(
    f"{wave}({cycle})"
    for cycle in ("time of day", "day of week", "day of year")
    for wave in ("sin", "cos")
)

# Indexes of a `Vocabulary`: 0 is the empty field, 1 a value that the profile did not see.
VOCABULARY_OFFSET = 2
# Most bins of a `Hashed`: an embedding of 50 values for each is 3 MB. No measured reason.
MAX_BINS = 1 << 14
# From this share of different values on, an integer or text column is an identifier. Not 1: the
# number of different values may be an estimate, with a standard error of 1.6 %.
_ID_SHARE = 0.95


class Number(msgspec.Struct, frozen=True, tag="number"):
    """(field - mean) / std; a missing field counts as `fill`, and is told by the indicator."""

    column: str
    mean: float
    std: float
    fill: float
    indicator: bool


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


Feature = Number | Timestamp | Vocabulary | Hashed


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
    def numeric(self) -> list[Number]:
        """The features that are a number each."""
        return [f for f in self.features if isinstance(f, Number)]

    @property
    def temporal(self) -> list[Timestamp]:
        """The features that are six cycles each."""
        return [f for f in self.features if isinstance(f, Timestamp)]

    @property
    def indicated(self) -> list[Number | Timestamp]:
        """The features that have a missing indicator, in the order of these in X."""
        features: list[Number | Timestamp] = [*self.numeric, *self.temporal]
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


def derive_features(
    columns: Sequence[Column],
    *,
    records: int,
    label: str,
    drop: Collection[str] = (),
    keep: Collection[str] = (),
    task: Task | Literal["auto"] = "auto",
    missing: Missing = "indicator",
    class_weight: ClassWeight | None = None,
) -> FeatureSpec:
    """Decide from the profile what the model gets to see.

    Args:
        columns: profile of each column.
        records: number of records that the profile is of.
        label: name of the column to predict.
        drop: names of columns to leave out.
        keep: names of columns that are features although they look like identifiers.
        task: kind of task; `auto` decides by the label's values.
        missing: "indicator" puts the mean for a missing number, and says so in an extra column;
            "zero" puts a plain 0, as the classic `fillna(0)` does.
        class_weight: "balanced", or a weight for each class; 1 where none is given.

    Raises:
        ConfigError: no such column, no feature left, or a label that cannot be learned.
    """
    names = [column.name for column in columns]
    named = [("--label", label), *(("--drop", n) for n in drop), *(("--keep", n) for n in keep)]
    for option, name in named:
        if name not in names:
            raise ConfigError(
                f"{option} {name}",
                expected=f"one of the columns {', '.join(names)}",
                found="no such column",
            )
    if label in drop:
        raise ConfigError(f"--drop {label}", found="the label", hint="a label cannot be dropped")
    for name in keep:
        if name in drop:
            raise ConfigError(f"--keep {name}", found=f"--drop {name}", hint="give one of them")
    label_column = columns[names.index(label)]
    features: list[Feature] = []
    notes: list[str] = []
    for column in columns:
        if column.name == label:
            continue
        reason = "as told" if column.name in drop else _useless(column)
        if not reason and column.name not in keep:
            reason = _identifier(column, records)
        if reason:
            notes.append(f"{column.name or '(no name)'}: left out, {reason}")
        else:
            features.append(_feature(column, missing))
    if not features:
        raise ConfigError("no column is left to learn from", found="; ".join(notes))
    spec = derive_label(label_column, task=task, class_weight=class_weight)
    return FeatureSpec(features=tuple(features), label=spec, notes=tuple(notes))


def _useless(column: Column) -> str:
    """Return why nothing can be learned from a column, or an empty text."""
    if column.distinct == 0:
        return "it is empty"
    if column.distinct == 1 and not column.missing:
        return f"it is constant ({column.minimum})"
    if column.variance is not None and not math.isfinite(column.variance):
        return f"its values are too far apart ({column.minimum} to {column.maximum})"
    return ""


def _identifier(column: Column, records: int) -> str:
    """Return why a column looks like an identifier, or an empty text."""
    present = records - column.missing
    counted = column.distinct_exact
    distinct = min(column.distinct, present)  # an estimate may be larger
    share = distinct / present
    about = "" if counted else "about "
    found = f"{about}{distinct:,} different values in {present:,} records"
    if column.type is ColumnType.INTEGER and not column.missing:
        # A float of all different values is a measurement, an integer an identifier.
        if share >= (1 if counted else _ID_SHARE):
            return f"it looks like an identifier ({found})"
    elif column.type is ColumnType.TEXT and share >= _ID_SHARE:
        return f"it looks like an identifier or free text ({found})"
    return ""


def _feature(column: Column, missing: Missing) -> Feature:
    indicator = missing == "indicator" and column.missing > 0
    if column.mean is not None and column.variance is not None:
        return Number(
            column=column.name,
            mean=column.mean,
            std=math.sqrt(column.variance) or 1.0,
            fill=column.mean if missing == "indicator" else 0.0,
            indicator=indicator,
        )
    if column.type is ColumnType.TIMESTAMP:
        return Timestamp(column=column.name, indicator=indicator)
    if column.top_is_complete:
        values = [top.value for top in column.top]
        return Vocabulary(column=column.name, values=(*values, *column.missing_markers))
    return Hashed(column=column.name, bins=min(MAX_BINS, 1 << column.distinct.bit_length()))
