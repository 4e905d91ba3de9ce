"""Times as numbers, with NumPy and Arrow; `trainer.serving.timestamps` does the same with Keras.

Shapes: B records.
"""

from __future__ import annotations

import contextlib
from datetime import datetime, timedelta

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc

from shared.values import MISSING_FIELDS
from trainer.features.read import misfit
from trainer.features.spec import Timestamp

Bool = npt.NDArray[np.bool_]
Float64 = npt.NDArray[np.float64]
Int64 = npt.NDArray[np.int64]

DAY_S = 86_400
YEAR_DAYS = 365.2425
# The length of "2025-04-01 12:30:05"; what follows is a fraction of a second.
TIMESTAMP_LENGTH = 19

_MISSING = pa.array(MISSING_FIELDS)


def trend_range(feature: Timestamp) -> tuple[int, int]:
    """Return where the trend begins, in seconds since 1970, and how many it lasts; 1 or more."""
    epoch = datetime(1970, 1, 1)
    start_s, end_s = ((t - epoch) // timedelta(seconds=1) for t in (feature.start, feature.end))
    return start_s, max(end_s - start_s, 1)


def encode_timestamps(feature: Timestamp, text: pa.StringArray) -> tuple[Bool, list[Float64]]:
    """Return where timestamps are missing, shape (B,), and their parts, of shape (B,) each.

    Raises:
        ContractError: a field is no timestamp.
    """
    missing, seconds = _read_seconds(feature.column, text)
    parts = []
    if feature.trend:
        start_s, length_s = trend_range(feature)
        parts.append(np.clip(2 * ((seconds - start_s) / length_s) - 1, -1, 1))
    if feature.cyclical:
        parts += _waves(seconds)
    if missing.any():
        parts = [np.where(missing, 0.0, part) for part in parts]
    return missing, parts


def _read_seconds(column: str, text: pa.StringArray) -> tuple[Bool, Int64]:
    """Return where timestamps are missing, and the seconds since 1970, shape (B,) both."""
    with contextlib.suppress(pa.ArrowInvalid):
        # Nothing missing, no blanks, no fractions: a third of the time for most columns.
        return np.zeros(len(text), np.bool_), _cast_seconds(text)
    # The profile takes no notice of blanks around a timestamp.
    text = pc.utf8_trim_whitespace(text)
    missing: Bool = pc.is_in(text, value_set=_MISSING).to_numpy(zero_copy_only=False)
    text = pc.if_else(missing, None, pc.utf8_slice_codeunits(text, 0, TIMESTAMP_LENGTH))
    try:
        return missing, _cast_seconds(text)
    except pa.ArrowInvalid as error:
        raise misfit(column, "timestamps", str(error)) from None


def _cast_seconds(text: pa.StringArray) -> Int64:
    stamps = pc.cast(text, pa.timestamp("s"))
    seconds: Int64 = pc.cast(stamps, pa.int64()).fill_null(0).to_numpy()
    return seconds


def _waves(seconds: Int64) -> list[Float64]:
    days = seconds // DAY_S
    dates = days.astype("datetime64[D]")
    day_of_year = (dates - dates.astype("datetime64[Y]").astype("datetime64[D]")).astype(np.int64)
    cycles = (
        (seconds - days * DAY_S) / DAY_S,
        (days + 3) % 7 / 7,  # 1970-01-01 was a Thursday; Monday is 0
        day_of_year / YEAR_DAYS,
    )
    return [wave(2 * np.pi * cycle) for cycle in cycles for wave in (np.sin, np.cos)]
