"""A sample of some columns, for what the profile does not tell: distributions, and what texts are.

Shards that lie evenly in the dataset, so that one that is sorted is seen from end to end. It costs
a millisecond for each, where the profile would have to look at every record.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc

from shared.layout import Side
from trainer.shards.dataset import Dataset
from trainer.shards.read import read_table, reduce_shard
from trainer.shards.shard import Shard

Float64 = npt.NDArray[np.float64]

# 64,000 records: enough for the quantile at 1 % within a twentieth of a percent.
_SHARDS = 64


# Most numbers of all columns together: of more than 500 columns there are fewer records.
_NUMBERS = 1 << 25
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
    if not columns:
        return {}
    shards = sample_shards(dataset)
    every = -(-len(columns) * sum(shard.records for shard in shards) // _NUMBERS)
    tables = [_read_numbers(shard, columns, every) for shard in shards]
    found = {}
    for place, name in enumerate(columns):
        numbers = np.concatenate([table[place] for table in tables])
        found[name] = numbers[np.isfinite(numbers)]
    return found


def _read_numbers(shard: Shard, columns: Sequence[str], every: int) -> list[Float64]:
    """Return the numbers of every n-th record, for each column."""
    table = read_table(shard, dict.fromkeys(columns, pa.float64()))
    return [column.to_numpy(zero_copy_only=False)[::every].copy() for column in table.columns]


def sample_texts(dataset: Dataset, columns: Sequence[str], *, length: int) -> dict[str, list[str]]:
    """Return some of the texts in a sample of the training side, those that are empty left out.

    Args:
        dataset: where the records are.
        columns: names of columns of text.
        length: so many characters of each text are returned.

    Raises:
        ContractError: a shard cannot be read.
    """
    found: dict[str, list[str]] = {name: [] for name in columns}

    def take(parts: Iterator[pa.RecordBatch]) -> dict[str, list[str]]:
        texts: dict[str, list[str]] = {name: [] for name in columns}
        for part in parts:
            for name, taken in texts.items():
                column = part.column(name)
                some = column.filter(pc.not_equal(column, "")).slice(0, _TEXTS - len(taken))
                taken += pc.utf8_slice_codeunits(some, 0, length).to_pylist()
        return texts

    for shard in sample_shards(dataset) if columns else ():
        for name, texts in reduce_shard(shard, dict.fromkeys(columns, pa.string()), take).items():
            found[name] += texts
    return found


def sample_shards(dataset: Dataset) -> list[Shard]:
    """Return the shards of the sample."""
    shards = dataset.shards[Side.TRAIN]
    chosen = np.unique(np.linspace(0, len(shards) - 1, _SHARDS).astype(np.int64))
    return [shards[number] for number in chosen]
