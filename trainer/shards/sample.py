"""A sample of some columns, for what the profile does not tell: distributions, and what texts are.

Shards that lie evenly in the dataset, so that one that is sorted is seen from end to end. It costs
a millisecond for each, where the profile would have to look at every record.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc

from shared.layout import Side
from trainer.features.read import Types
from trainer.shards.dataset import Dataset
from trainer.shards.read import read_table
from trainer.shards.shard import Shard

Float64 = npt.NDArray[np.float64]

# 64,000 records: enough for the quantile at 1 % within a twentieth of a percent.
_SHARDS = 64


# As many texts of each shard; a thousand tell whether a column is prose.
_TEXTS = 16


def sample_numbers(dataset: Dataset, columns: Sequence[str]) -> dict[str, Float64]:
    """Return the numbers in a sample of the training side, those that are missing left out.

    Args:
        dataset: where the records are.
        columns: names of columns of numbers.

    Raises:
        ContractError: a shard cannot be read.
    """
    tables = _read(dataset, dict.fromkeys(columns, pa.float64()))
    found = {}
    for name in columns:
        numbers = np.concatenate(
            [table.column(name).to_numpy(zero_copy_only=False) for table in tables]
        )
        found[name] = numbers[np.isfinite(numbers)]
    return found


def sample_texts(dataset: Dataset, columns: Sequence[str]) -> dict[str, list[str]]:
    """Return some of the texts in a sample of the training side, those that are empty left out.

    Args and errors are those of `sample_numbers`.
    """
    found: dict[str, list[str]] = {name: [] for name in columns}
    for table in _read(dataset, dict.fromkeys(columns, pa.string())):
        for name, texts in found.items():
            column = table.column(name)
            texts += column.filter(pc.not_equal(column, "")).slice(0, _TEXTS).to_pylist()
    return found


def sample_shards(dataset: Dataset) -> list[Shard]:
    """Return the shards of the sample."""
    shards = dataset.shards[Side.TRAIN]
    chosen = np.unique(np.linspace(0, len(shards) - 1, _SHARDS).astype(np.int64))
    return [shards[number] for number in chosen]


def _read(dataset: Dataset, types: Types) -> list[pa.RecordBatch]:
    return [read_table(shard, types) for shard in sample_shards(dataset)] if types else []
