"""The label: which column is to be predicted, and how its fields become numbers."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Literal

import msgspec

Task = Literal["binary", "multiclass", "regression"]
ClassWeight = Literal["balanced"] | Mapping[str, float]


class LabelSpec(msgspec.Struct, frozen=True, kw_only=True):
    """What is predicted, and how its fields become numbers.

    Attributes:
        column: name of the column.
        task: binary, multiclass or regression.
        reading: how a field is compared with the classes: as a number ("1.0" is "1"), as text, or
            as a boolean ("True" is "true", "Yes" is "yes").
        classes: of a classification, in ascending order. Of two, the second is the positive one:
            what the model gives is its probability.
        counts: number of records of each class.
        weights: weight of the records of each class in the loss; empty if all weigh the same.
        mean, std: of a regression's label. The net is trained on (label - mean) / std.
    """

    column: str
    task: Task
    reading: Literal["number", "text", "boolean"]
    classes: tuple[str, ...] = ()
    counts: tuple[int, ...] = ()
    weights: tuple[float, ...] = ()
    mean: float = 0.0
    std: float = 1.0

    def __post_init__(self) -> None:
        if self.reading == "number":
            for name in self.classes:
                float(name)  # of a run that somebody else made, it may be no number

    @property
    def mapping(self) -> str:
        """What the net gives for which label, or the unit of its errors, for people."""
        if self.task == "binary":
            return f"probability of {self.classes[1]!r}, not {self.classes[0]!r}"
        if self.task == "multiclass":
            return f"probabilities of {len(self.classes)} classes"
        return f"errors of an epoch are in standard deviations of {self.std:,.4g}"

    @property
    def outputs(self) -> int:
        """Number of values that the model gives for a record."""
        return len(self.classes) if self.task == "multiclass" else 1
