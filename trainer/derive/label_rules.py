"""The rules for the label: what kind of task its column makes, by the profile in the manifest."""

from __future__ import annotations

import math
from typing import Literal

from shared.errors import ConfigError
from shared.schema import Column, ColumnType
from trainer.features.label import ClassWeight, LabelSpec, Task

# With `--task auto`, an integer label of more values than this is a quantity, not a class.
# No measured reason: ratings have 5 or 10, hours 24.
MAX_INTEGER_CLASSES = 20

# Texts that mean no and yes, in small letters. In this order they are in ascending order, too, so
# that the second one is the positive class.
_BOOLEANS = ({"false", "true"}, {"no", "yes"}, {"n", "y"}, {"f", "t"}, {"off", "on"})

_NUMERIC = (ColumnType.INTEGER, ColumnType.NUMBER)


def derive_label(
    column: Column,
    *,
    task: Task | Literal["auto"] = "auto",
    class_weight: ClassWeight | None = None,
) -> LabelSpec:
    """Decide the task from the profile of the label's column.

    With `auto`: two values make a binary task; text, booleans and up to 20 different integers a
    multi-class one; other numbers a regression.

    Raises:
        ConfigError: the column cannot be a label, or not one for this task.
    """
    where = f"--label {column.name}"
    _check_usable(column, where)
    if task == "auto":
        task = _guess_task(column, where)
    if task == "regression":
        return _regression(column, where, class_weight)
    return _classification(column, task, where, class_weight)


def _check_usable(column: Column, where: str) -> None:
    if column.type is ColumnType.TIMESTAMP:
        raise ConfigError(
            where,
            expected="classes or numbers",
            found="timestamps",
            hint="turn them into a number, such as days since a date, before splitting",
        )
    if column.distinct == 0:
        raise ConfigError(where, found="no value at all", hint="choose another label")
    if column.missing:
        raise ConfigError(
            where,
            expected="a value in every record",
            found=f"{column.missing:,} records without one",
            hint="remove these records, or give them a value, before splitting",
        )
    if column.distinct == 1 or len(_count_classes(column)) == 1:
        raise ConfigError(
            where,
            expected="two values or more",
            found=f"the same value ({column.minimum}) in every record",
            hint="there is nothing to learn: choose another label, or another source",
        )


def _guess_task(column: Column, where: str) -> Task:
    if len(_count_classes(column)) == 2:
        return "binary"
    if column.type is ColumnType.NUMBER:
        return "regression"
    if column.type is ColumnType.INTEGER:
        few = column.top_is_complete and column.distinct <= MAX_INTEGER_CLASSES
        return "multiclass" if few else "regression"
    if not column.top_is_complete:
        _refuse_many_classes(column, where)
    return "multiclass"


def _refuse_many_classes(column: Column, where: str) -> None:
    raise ConfigError(
        where,
        expected="few classes",
        found=f"{column.distinct:,} different values",
        hint="choose another label, or group its values before splitting",
    )


def _regression(column: Column, where: str, class_weight: ClassWeight | None) -> LabelSpec:
    if column.type not in _NUMERIC or column.mean is None or column.variance is None:
        raise ConfigError(
            where,
            expected="numbers for --task regression",
            found=f"{column.type} values such as {column.minimum!r}",
            hint="use --task auto, or choose another label",
        )
    if class_weight is not None:
        raise ConfigError("--class-weight", found="a regression, which has no classes")
    std = math.sqrt(column.variance)
    if not (math.isfinite(column.mean) and math.isfinite(std) and std > 0):
        raise ConfigError(
            where,
            expected="numbers of a finite variance",
            found=f"values from {column.minimum} to {column.maximum}",
            hint="rescale the label before splitting",
        )
    return LabelSpec(
        column=column.name, task="regression", reading="number", mean=column.mean, std=std
    )


def _classification(
    column: Column, task: Task, where: str, class_weight: ClassWeight | None
) -> LabelSpec:
    if not column.top_is_complete:
        _refuse_many_classes(column, where)
    counts = _count_classes(column)
    numeric = column.type in _NUMERIC
    classes = sorted(counts, key=float if numeric else str)
    if task == "binary" and len(classes) != 2:
        raise ConfigError(
            where,
            expected="two values for --task binary",
            found=f"{len(classes):,}: {', '.join(classes[:5])}{', …' if len(classes) > 5 else ''}",
            hint="use --task multiclass",
        )
    per_class = tuple(counts[name] for name in classes)
    return LabelSpec(
        column=column.name,
        task=task,
        reading="number" if numeric else "boolean" if _is_boolean(column) else "text",
        classes=tuple(classes),
        counts=per_class,
        weights=_weights(classes, per_class, class_weight),
    )


def _count_classes(column: Column) -> dict[str, int]:
    """Return the number of records of each class; empty if there are too many classes."""
    counts: dict[str, int] = {}
    is_boolean = _is_boolean(column)
    for top in column.top if column.top_is_complete else ():
        name = top.value.lower() if is_boolean else top.value
        counts[name] = counts.get(name, 0) + top.count
    return counts


def _is_boolean(column: Column) -> bool:
    """Tell whether the values are spellings of yes and no, such as Y and n."""
    if column.type is ColumnType.BOOLEAN:
        return True
    return column.type is ColumnType.TEXT and {top.value.lower() for top in column.top} in _BOOLEANS


def _weights(
    classes: list[str], counts: tuple[int, ...], class_weight: ClassWeight | None
) -> tuple[float, ...]:
    """Return a weight for each class; `balanced` makes all classes weigh the same in the loss.

    n / (k * count), for n records of k classes (King, Zeng: Logistic regression in rare events
    data, 2001), so that the mean weight of a record is 1.
    """
    if class_weight is None:
        return ()
    if isinstance(class_weight, str):
        return tuple(sum(counts) / (len(classes) * count) for count in counts)
    if unknown := sorted(set(class_weight) - set(classes)):
        raise ConfigError(
            f"--class-weight {unknown[0]}",
            expected=f"one of the classes {', '.join(classes[:20])}",
            found="no such class",
        )
    return tuple(class_weight.get(name, 1.0) for name in classes)
