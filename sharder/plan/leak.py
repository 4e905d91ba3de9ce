"""How much each column alone tells of the label: what tells all of it probably is the label."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc

from shared.values import parse_column

Codes = npt.NDArray[np.int64]

# Numbers are told apart by these many quantiles, the label's if it is a number with many values.
_BINS = 64
_LABEL_BINS = 10

# With fewer records of each half, chance is taken for knowledge.
_FEWEST_RECORDS = 200


def tell(columns: Sequence[Any], label: int) -> list[float] | None:
    """Return the share of the label's entropy that each column explains alone, (C,).

    What is learnt from one half of the records is tried on the other, and the other way round. So a
    column of ids, which tells each record apart, explains nothing. Of a number its quantiles are
    looked at, of all else its values; a missing value is one, too.

    Args:
        columns: (C,) pyarrow.StringArray of shape (R,) each, the fields of some records.
        label: index of the column that is to be predicted.

    Returns:
        0 for nothing, 1 for all, for each column; None if it cannot be told: too few records, or a
        label that is always the same.
    """
    records = len(columns[label])
    if records < 2 * _FEWEST_RECORDS:
        return None
    order = np.random.default_rng(0).permutation(records)
    labels = _code(columns[label], _LABEL_BINS)[order]
    if len(np.unique(labels)) < 2:
        return None
    half = records // 2
    told = []
    for column in columns:
        codes = _code(column, _BINS)[order]
        shares = (
            _explained(codes[:half], labels[:half], codes[half:], labels[half:]),
            _explained(codes[half:], labels[half:], codes[:half], labels[:half]),
        )
        told.append(max(sum(shares) / 2, 0.0))
    return told


def _code(column: Any, bins: int) -> Codes:
    """Return a number for each field, (R,), the same for fields that are taken for the same."""
    parsed = parse_column(column)
    if parsed.numbers is not None:
        missing = pc.is_in(column, value_set=pa.array(["", *parsed.markers], pa.string()))
        present = ~missing.to_numpy(zero_copy_only=False)
        if np.count_nonzero(present) == len(parsed.numbers):
            codes = np.full(parsed.rows, -1, np.int64)
            codes[present] = np.searchsorted(_bounds(parsed.numbers, bins), parsed.numbers)
            return codes
    of_texts: Codes = column.dictionary_encode().indices.to_numpy().astype(np.int64)
    return of_texts


def _bounds(numbers: npt.NDArray[Any], bins: int) -> npt.NDArray[Any]:
    """Return the greatest number of each bin: all different ones, if they are few."""
    values = np.unique(numbers)
    if len(values) <= bins:
        return values
    return np.unique(np.quantile(numbers, np.linspace(0, 1, bins + 1)[1:], method="lower"))


def _explained(codes: Codes, labels: Codes, new_codes: Codes, new_labels: Codes) -> float:
    """Learn how labels go with codes; return the share of the new labels' entropy it explains."""
    classes, index = np.unique(np.concatenate([labels, new_labels]), return_inverse=True)
    labels, new_labels = index[: len(labels)], index[len(labels) :]
    prior = np.bincount(labels, minlength=len(classes)) + 1.0
    prior /= prior.sum()
    found = prior[new_labels]
    with_code = _count(codes, new_codes)
    pairs, new_pairs = codes * len(classes) + labels, new_codes * len(classes) + new_labels
    # As if one more record of each code were divided among the labels as all records are.
    given = (_count(pairs, new_pairs) + found) / (with_code + 1)
    return float(1 - np.log(given).sum() / np.log(found).sum())


def _count(known: Codes, new: Codes) -> Codes:
    """Return how often each new number is among the known ones, (N,)."""
    values, counts = np.unique(known, return_counts=True)
    place = np.minimum(np.searchsorted(values, new), len(values) - 1)
    return np.where(values[place] == new, counts[place], 0)
