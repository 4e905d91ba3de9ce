"""How much each record counts: by a column of the table, by its class, or by both.

Shapes: B records.
"""

from __future__ import annotations

import numpy as np
import numpy.typing as npt
import pyarrow as pa

from shared.errors import ConfigError, ContractError
from shared.schema import Column, ColumnType
from trainer.label import LabelSpec

Float32 = npt.NDArray[np.float32]

_WANTED = "a weight: a finite number, 0 or more"


def check_weight_column(column: Column) -> bool:
    """Refuse a column that has no weights; return whether every record has one that can be meant.

    Raises:
        ConfigError: it is no column of numbers, or there is no weight but 0.
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
    return not column.missing and least >= 0


def encode_weights(column: pa.ChunkedArray, name: str) -> Float32:
    """Return the weights in a column of numbers, shape (B,).

    Raises:
        ContractError: one cannot be meant; the message tells its record.
    """
    weights = column.to_numpy()
    fine = np.isfinite(weights) & (weights >= 0)
    if not fine.all():
        record = int(fine.argmin())
        found = weights[record]
        raise ContractError(
            f"record {record + 1}, column {name!r}",
            expected=_WANTED,
            found="none" if np.isnan(found) else f"{found:g}",
            hint="give every record a weight, or remove it, before splitting",
        )
    return np.asarray(weights, np.float32)


def weigh_classes(y: Float32, label: LabelSpec) -> Float32:
    """Return the weight of each record in the loss, shape (B,), by its class in `y`.

    Not part of a `trainer.encode.Batch`: it is found again in 4 µs, so that a cache serves any
    weights of classes.
    """
    index = y if label.task == "binary" else y.argmax(axis=1)
    return np.array(label.weights, np.float32)[index.astype(np.intp)]
