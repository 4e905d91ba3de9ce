"""The rules: which columns become features, and how, by the profile in the manifest.

So no pass over the data is needed.
"""

from __future__ import annotations

import math
from collections.abc import Collection, Sequence
from typing import Literal

from shared.errors import ConfigError
from shared.schema import Column, ColumnType
from trainer.features import Feature, FeatureSpec, Hashed, Standard, Timestamp, Vocabulary
from trainer.label import ClassWeight, Task, derive_label

Missing = Literal["indicator", "zero"]

# Most bins of a `Hashed`: an embedding of 50 values for each is 3 MB. No measured reason.
MAX_BINS = 1 << 14
# From this share of different values on, an integer or text column is an identifier. Not 1: the
# number of different values may be an estimate, with a standard error of 1.6 %.
_ID_SHARE = 0.95


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
        return Standard(
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
