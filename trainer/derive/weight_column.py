"""A column of weights, found fit for it before training begins."""

from __future__ import annotations

import pyarrow as pa

from shared.errors import ConfigError
from shared.layout import Side
from shared.schema import Column, ColumnType
from trainer.features.weights import encode_weights
from trainer.shards.dataset import Dataset
from trainer.shards.read import read_table
from trainer.shards.shard import named


def check_weights(dataset: Dataset, column: Column) -> None:
    """Refuse a column of a dataset that has no weights.

    Where its profile says that some record has none, the shards are read up to the first such one.

    Raises:
        ConfigError: it is no column of numbers, or has no weight but 0.
        ContractError: a record has no weight, or one that cannot be meant.
    """
    where = f"--weight-column {column.name}"
    if column.type not in (ColumnType.INTEGER, ColumnType.NUMBER):
        raise ConfigError(
            where,
            expected="a column of numbers",
            found=f"{column.type} values such as {column.minimum!r}",
        )
    least, greatest = float(column.minimum or 0), float(column.maximum or 0)
    if least == 0 == greatest:
        raise ConfigError(where, expected="a weight above 0", found="0 in every record")
    if not column.missing and least >= 0:
        return
    for side in Side:
        for shard in dataset.shards[side]:
            table = read_table(shard, {column.name: pa.float64()})
            with named(shard):
                encode_weights(table.column(column.name), column.name)
