"""How much each record counts: by a column of the table, by its class, or by both.

Shapes: B records.
"""

from __future__ import annotations

import numpy as np
import numpy.typing as npt
import pyarrow as pa

from shared.errors import ContractError
from trainer.features.label import LabelSpec

Float32 = npt.NDArray[np.float32]


def encode_weights(column: pa.Array, name: str, before: int = 0) -> Float32:
    """Return the weights in a column of numbers, shape (B,).

    Args:
        column: the numbers.
        name: of the column.
        before: number of records before these, for messages.

    Raises:
        ContractError: one cannot be meant; the message tells its record.
    """
    weights = column.to_numpy(zero_copy_only=False)
    fine = np.isfinite(weights) & (weights >= 0)
    if not fine.all():
        record = int(fine.argmin())
        found = weights[record]
        raise ContractError(
            f"record {before + record + 1}, column {name!r}",
            expected="a weight: a finite number, 0 or more",
            found="none" if np.isnan(found) else f"{found:g}",
            hint="give every record a weight, or remove it, before splitting",
        )
    return np.asarray(weights, np.float32)


def weigh_classes(y: Float32, label: LabelSpec) -> Float32:
    """Return the weight of each record in the loss, shape (B,), by its class in `y`.

    Not part of a `trainer.features.encode.Batch`: it is found again in 4 µs, so that a cache serves
    any weights of classes.
    """
    index = y if label.task == "binary" else y.argmax(axis=1)
    return np.array(label.weights, np.float32)[index.astype(np.intp)]
