"""What a function of one's own makes of a dataset: found by calling it with a sample of shards."""

from __future__ import annotations

import contextlib
from typing import Any, Literal

import numpy as np
import pyarrow as pa

from shared.block_profile import profile_block
from shared.errors import ConfigError, no_such_column
from shared.profile import Profile
from shared.schema import Column
from shared.user_code import load_function
from trainer.derive.label_rules import derive_label
from trainer.derive.weight_column import check_weights
from trainer.features.label import ClassWeight, LabelSpec, Task
from trainer.features.read import transform_types
from trainer.features.spec import FeatureSpec, Given, Kind, Transform
from trainer.features.transform import UserFunction
from trainer.shards.dataset import Dataset
from trainer.shards.read import read_table
from trainer.shards.sample import sample_shards
from trainer.shards.shard import named


def derive_transform(
    dataset: Dataset,
    reference: str,
    *,
    label: str,
    task: Task | Literal["auto"],
    class_weight: ClassWeight | None,
    weight_column: str | None,
) -> FeatureSpec:
    """Call a function with a sample of the training side, to see what it gives.

    Args:
        dataset: where the records are.
        reference: `MODULE:FUNCTION`.
        label: name of what is predicted. Where it is a column, and the function gives its values,
            the classes are those of the whole column; else those in the sample.
        task: kind of task; `auto` decides by the labels.
        class_weight: "balanced", or a weight for each class.
        weight_column: name of the column that says how much each record counts.

    Raises:
        ConfigError: the labels cannot be learned, or there is no such function, or no such column
            of weights.
        ContractError: the function fails, or what it gives does not fit; the message names the
            shard.
    """
    columns = {column.name: column for column in dataset.columns}
    if weight_column is not None:
        if weight_column not in columns:
            raise no_such_column(f"--weight-column {weight_column}", weight_column, columns)
        if weight_column == label:
            raise ConfigError(
                f"--weight-column {label}", found="the label", hint="a weight cannot be the label"
            )
        check_weights(dataset, columns[weight_column])
    transform = Transform(
        reference,
        load_function(reference, "--transform").digest,
        {
            name: Kind(column.type, column.missing > 0)
            for name, column in columns.items()
            if name != weight_column
        },
    )
    function = UserFunction(transform)
    names: list[str] = []
    texts: list[str] = []
    for shard in sample_shards(dataset):
        table = read_table(shard, transform_types(transform))
        with named(shard):
            found, _, labels = function(table)
            names = names or found
            function.check_names(found, names)
        texts += _spell(labels)
    return FeatureSpec(
        features=tuple(Given(column=name) for name in names),
        label=_derive_label(columns.get(label), label, texts, task, class_weight),
        weight=weight_column,
        transform=transform,
    )


def _derive_label(
    column: Column | None,
    label: str,
    texts: list[str],
    task: Task | Literal["auto"],
    class_weight: ClassWeight | None,
) -> LabelSpec:
    if column is not None:
        with contextlib.suppress(ConfigError):
            own = derive_label(column, task=task, class_weight=class_weight)
            given = {text.lower() if own.reading == "boolean" else text for text in texts}
            if given <= set(own.classes):
                return own
    profile = Profile.begin([label])
    profile.add(profile_block([label], [pa.array(texts, pa.string())]))
    return derive_label(profile.columns()[0], task=task, class_weight=class_weight)


def _spell(labels: Any) -> list[str]:
    """Return labels as a CSV would have them: a whole number without a fraction, a gap empty."""
    if labels.dtype.kind == "f":
        return [
            "" if not np.isfinite(number) else f"{number:.0f}" if number % 1 == 0 else repr(number)
            for number in labels.tolist()
        ]
    return ["" if label is None or label != label else str(label) for label in labels.tolist()]
