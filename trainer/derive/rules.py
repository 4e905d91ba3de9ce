"""The rules: which columns become features, and how, by the profile in the manifest.

So no pass over the data is needed. Where the profile shows that a column may have heavy tails, or
many different texts, a sample of shards says whether it has, or is prose. What a person says in a
feature file comes first.
"""

from __future__ import annotations

import math
from collections.abc import Collection, Iterable
from pathlib import Path
from typing import Literal

import numpy as np

from shared.errors import ConfigError, no_such_column
from shared.schema import Column, ColumnType
from trainer.config import Missing, check_alone
from trainer.derive.edits import DROP, ENCODINGS, Edits, load_edits
from trainer.derive.label_rules import derive_label
from trainer.derive.notes import describe_left_out
from trainer.derive.parameters import SAMPLED, derive_parameters, share_weights
from trainer.derive.transform_spec import derive_transform
from trainer.derive.weight_column import check_weights
from trainer.features.label import ClassWeight, Task
from trainer.features.scaling import is_heavy_tailed
from trainer.features.spec import Feature, FeatureSpec
from trainer.features.tokens import count_tokens, text_length
from trainer.shards.dataset import Dataset
from trainer.shards.sample import sample_numbers, sample_texts

# From this share of different values on, an integer or text column is an identifier. Not 1: the
# number of different values may be an estimate, with a standard error of 1.6 %.
_ID_SHARE = 0.95
# A number so many standard deviations from the mean may be the end of a heavy tail. Of a hundred
# million normal ones, none is 6 away.
_FAR = 8.0
# Text of so many tokens is read token by token; a name has two. No measured reason.
_TOKENS_OF_TEXT = 3

# What a column of each type can be made into.
_FITTING = {
    ColumnType.EMPTY: (),
    ColumnType.INTEGER: ("standard", "log", "quantile", "vocabulary", "hashed"),
    # As text, 1.5 and 1.50 would be two values.
    ColumnType.NUMBER: ("standard", "log", "quantile"),
    ColumnType.BOOLEAN: ("vocabulary", "hashed"),
    ColumnType.TIMESTAMP: ("timestamp",),
    ColumnType.TEXT: ("vocabulary", "hashed", "text"),
}


def derive_features(
    dataset: Dataset,
    *,
    label: str,
    drop: Collection[str] = (),
    keep: Collection[str] = (),
    task: Task | Literal["auto"] = "auto",
    missing: Missing = "indicator",
    class_weight: ClassWeight | None = None,
    features: Path | None = None,
    weight_column: str | None = None,
    transform: str | None = None,
) -> FeatureSpec:
    """Decide from the profile what the model gets to see.

    Args:
        dataset: its profile counts, and here and there a sample of its training side.
        label: name of the column to predict.
        drop: names of columns to leave out.
        keep: names of columns that are features although they look like identifiers.
        task: kind of task; `auto` decides by the label's values.
        missing: "indicator" puts the mean for a missing number, and says so in an extra column;
            "zero" puts a plain 0, as the classic `fillna(0)` does.
        class_weight: "balanced", or a weight for each class; 1 where none is given.
        features: a file that says otherwise of some columns, or all; see `trainer.derive.edits`.
        weight_column: name of the column that says how much each record counts.
        transform: `MODULE:FUNCTION` of one's own that gives features and labels instead; see
            `trainer.features.transform`. The label need not be a column then.

    Raises:
        ConfigError: no such column, no feature left, a label that cannot be learned, weights that
            are none, a file that cannot be meant, or two ways to say what becomes of a column.
        ContractError: a shard of the sample cannot be read, or a record has no weight.
    """
    check_alone(features, transform, drop, keep, missing)
    if transform is not None:
        return derive_transform(
            dataset,
            transform,
            label=label,
            task=task,
            class_weight=class_weight,
            weight_column=weight_column,
        )
    columns = {column.name: column for column in dataset.columns}
    edits = Edits() if features is None else load_edits(features)
    _check_names(columns, edits, label=label, weight=weight_column, drop=drop, keep=keep)
    learned = derive_label(columns.pop(label), task=task, class_weight=class_weight)
    left_out: dict[str, str] = {}
    if weight_column is not None:
        check_weights(dataset, columns.pop(weight_column))
        left_out[weight_column] = "it is the weight of the records"
    undecided = [c for c in columns.values() if c.name not in drop and not edits.encoding(c.name)]
    free_text = _find_free_text(dataset, undecided)
    chosen: dict[str, str] = {}
    for column in columns.values():
        encoding = edits.encoding(column.name)
        if column.name in drop or encoding == DROP:
            left_out[column.name] = "as told"
            continue
        if encoding is not None:
            _check_fit(column, encoding, edits)
            chosen[column.name] = encoding
            continue
        reason = _useless(column)
        if not reason and column.name not in keep and column.name not in edits:
            reason = _identifier(column, dataset.records, is_free_text=column.name in free_text)
        if reason:
            left_out[column.name] = reason
        else:
            chosen[column.name] = _encoding(column, is_free_text=column.name in free_text)
    if not chosen:
        found = "; ".join(describe_left_out(left_out))
        raise ConfigError("no column is left to learn from", found=found)
    return FeatureSpec(
        features=_make_features(dataset, chosen, edits, missing),
        label=learned,
        left_out=left_out,
        weight=weight_column,
    )


def _make_features(
    dataset: Dataset, chosen: dict[str, str], edits: Edits, missing: Missing
) -> tuple[Feature, ...]:
    """Find the parameters of the encodings chosen for columns, each by its name."""
    columns = [column for column in dataset.columns if column.name in chosen]
    to_sample = [c.name for c in columns if _is_to_sample(c, chosen[c.name], edits)]
    sample = sample_numbers(dataset, to_sample)
    share = share_weights((column, chosen[column.name]) for column in columns)
    made: list[Feature] = []
    for column in columns:
        name, encoding = column.name, chosen[column.name]
        numbers = sample.get(name)
        if numbers is not None and edits.encoding(name) is None and is_heavy_tailed(numbers):
            encoding = "log"
        given = edits.parameters(name, encoding)
        parameters = derive_parameters(
            column, encoding, given, missing, numbers, share, where=edits.where(name)
        )
        feature: Feature = ENCODINGS[encoding](column=name, **parameters)
        edits.check(feature)
        made.append(feature)
    return tuple(made)


def _check_names(
    columns: Collection[str],
    edits: Edits,
    *,
    label: str,
    weight: str | None,
    drop: Collection[str],
    keep: Collection[str],
) -> None:
    named = [("--label", label), *(("--drop", n) for n in drop), *(("--keep", n) for n in keep)]
    named += [] if weight is None else [("--weight-column", weight)]
    wheres = [(f"{option} {name}", name) for option, name in named]
    wheres += [(edits.where(name), name) for name in edits]
    for where, name in wheres:
        if name not in columns:
            raise no_such_column(where, name, columns)
    if label in drop:
        raise ConfigError(f"--drop {label}", found="the label", hint="a label cannot be dropped")
    if label in edits:
        raise ConfigError(edits.where(label), expected="features", found="the label")
    if weight == label or weight in keep:
        found = "the label" if weight == label else f"--keep {weight}"
        raise ConfigError(f"--weight-column {weight}", found=found, hint="it is no feature")
    if weight is not None and edits.encoding(weight) not in (None, DROP):
        raise ConfigError(edits.where(weight), expected=f"encoding = {DROP!r}", found="a feature")
    for name in keep:
        if name in drop:
            raise ConfigError(f"--keep {name}", found=f"--drop {name}", hint="give one of them")


def _check_fit(column: Column, encoding: str, edits: Edits) -> None:
    fitting = _FITTING[column.type]
    if encoding not in fitting:
        raise ConfigError(
            edits.where(column.name, "encoding"),
            expected=" or ".join((*fitting, DROP)) + f" for {_spell(column.type)}",
            found=repr(encoding),
        )


def _spell(type_: ColumnType) -> str:
    return "a column that is empty" if type_ is ColumnType.EMPTY else f"a column of type {type_}"


def _is_to_sample(column: Column, encoding: str, edits: Edits) -> bool:
    """Tell whether the distribution of the numbers in a column matters, and is not known."""
    if edits.encoding(column.name) is None:
        return encoding == "standard" and _is_far(column)
    return encoding in SAMPLED and not edits.keys(column.name) >= SAMPLED[encoding]


def _is_far(column: Column) -> bool:
    """Tell whether the least or the greatest number is far from the mean."""
    if column.mean is None or column.variance is None:
        return False
    extremes = np.array([column.minimum, column.maximum], np.float64)
    return bool(np.abs(extremes - column.mean).max() > _FAR * math.sqrt(column.variance))


def _useless(column: Column) -> str:
    """Return why nothing can be learned from a column, or an empty text."""
    if column.distinct == 0:
        return "it is empty"
    if column.distinct == 1 and not column.missing:
        return f"it is constant ({column.minimum})"
    # One beyond a float's range is no number in JSON.
    is_finite = column.variance is not None and math.isfinite(column.variance)
    if column.type in (ColumnType.INTEGER, ColumnType.NUMBER) and not is_finite:
        return f"its values are too far apart ({column.minimum} to {column.maximum})"
    return ""


def _identifier(column: Column, records: int, *, is_free_text: bool) -> str:
    """Return why a column looks like an identifier, or an empty text."""
    present = records - column.missing
    counted = column.distinct_exact
    distinct = min(column.distinct, present)  # an estimate may be larger
    share = distinct / present
    about = "" if counted else "about "
    found = f"it looks like an identifier ({about}{distinct:,} different values in {present:,} "
    if column.type is ColumnType.INTEGER and not column.missing:
        # A float of all different values is a measurement, an integer an identifier.
        if share >= (1 if counted else _ID_SHARE):
            return f"{found}records)"
    elif column.type is ColumnType.TEXT and share >= _ID_SHARE and not is_free_text:
        return f"{found}records)"
    return ""


def _encoding(column: Column, *, is_free_text: bool) -> str:
    if column.mean is not None:
        return "standard"
    if column.type is ColumnType.TIMESTAMP:
        return "timestamp"
    if column.top_is_complete:
        return "vocabulary"
    return "text" if is_free_text else "hashed"


def _find_free_text(dataset: Dataset, columns: Iterable[Column]) -> set[str]:
    """Return those of the columns that have many texts, half of them with several tokens."""
    many = [c.name for c in columns if c.type is ColumnType.TEXT and not c.top_is_complete]
    return {
        name
        for name, texts in sample_texts(dataset, many, length=text_length(_TOKENS_OF_TEXT)).items()
        if texts and np.median(count_tokens(texts, most=_TOKENS_OF_TEXT)) >= _TOKENS_OF_TEXT
    }
