"""Hashes of the values of a column."""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc
import xxhash

from shared.splitmix import mix
from shared.tally import Values

Hashes = npt.NDArray[np.uint64]


def hash_numbers(values: npt.NDArray[np.int64] | npt.NDArray[np.float64]) -> Hashes:
    """Hash numbers of shape (N,); 1 and 1.0 are the same number."""
    if values.dtype == np.int64:
        return mix(values.view(np.uint64))
    whole = is_whole(values)
    # + 0.0 makes one number of 0.0 and -0.0.
    bits = (values + 0.0).view(np.uint64)
    bits[whole] = values[whole].astype(np.int64).view(np.uint64)
    return mix(bits)


def is_whole(values: npt.NDArray[Any]) -> npt.NDArray[np.bool_]:
    """Tell which floats are integers that a float can tell from their neighbours."""
    whole: npt.NDArray[np.bool_] = np.abs(values) < 2**53
    whole &= values == np.floor(values)
    return whole


def hash_values(values: Values) -> Hashes:
    """Hash values of shape (N,)."""
    if not isinstance(values, pa.Array):
        return hash_numbers(values)
    # A text that is a plain integer has the hash of the integer: a column of ids may turn out to
    # be text when half of it is counted.
    integers = pc.match_substring_regex(values, r"^(0|-?[1-9]\d{0,17})$")
    hashes = np.empty(len(values), np.uint64)
    mask = integers.to_numpy(zero_copy_only=False)
    hashes[mask] = hash_numbers(values.filter(integers).cast(pa.int64()).to_numpy())
    texts = values.filter(pc.invert(integers)).to_pylist()
    hashes[~mask] = [xxhash.xxh3_64_intdigest(text.encode()) for text in texts]
    return hashes
