"""Timestamps as numbers, with Keras: what `trainer.features.timestamps` does with Arrow.

Shapes: B records, S timestamps of each.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from keras import layers, ops

from trainer.features.spec import WAVES, Timestamp
from trainer.features.timestamps import DAY_S, TIMESTAMP_LENGTH, YEAR_DAYS, trend_range

Tensor = Any  # a KerasTensor; Keras has no type stubs

_DIGITS = list("0123456789")
# So many blanks may stand before a timestamp. No measured reason.
_BLANKS = 13


def encode_timestamps(text: Tensor, features: list[Timestamp]) -> tuple[Tensor, list[Tensor]]:
    """Return where timestamps, (B, S), are present, and their parts, stamp by stamp, if any."""
    padded = layers.TextVectorization(
        standardize=None,
        split="character",
        output_mode="int",
        output_sequence_length=_BLANKS + TIMESTAMP_LENGTH,
        vocabulary=_DIGITS,
    )(ops.reshape(text, (-1, 1)))
    # Behind padding (0) and unknown (1) come the digits. What is none (-1) before the first of
    # them is blanks, or there is no timestamp at all.
    padded = ops.maximum(ops.cast(padded, "int32") - 2, -1)
    first_digit = ops.argmax(padded >= 0, axis=1, keepdims=True)
    places = ops.cast(first_digit, "int32") + np.arange(TIMESTAMP_LENGTH, dtype=np.int32)
    places = ops.minimum(places, _BLANKS + TIMESTAMP_LENGTH - 1)
    characters = ops.take_along_axis(padded, places, axis=1)
    characters = ops.reshape(characters, (-1, len(features), TIMESTAMP_LENGTH))
    date = ops.take(characters, [0, 1, 2, 3, 5, 6, 8, 9], axis=2)
    present = ops.all(date >= 0, axis=2)
    # What is not there (2025-04-01 has no hour) counts as zero.
    digits = ops.maximum(characters, 0)

    def number(*positions: int) -> Tensor:
        total = digits[:, :, positions[0]]
        for position in positions[1:]:
            total = total * 10 + digits[:, :, position]
        return total

    year, month, day = number(0, 1, 2, 3), number(5, 6), number(8, 9)
    seconds = (number(11, 12) * 60 + number(14, 15)) * 60 + number(17, 18)
    days = _days_from_civil(year, month, day)
    first = _days_from_civil(year, ops.ones_like(month), ops.ones_like(day))
    parts = [_trend(days, seconds, features)]
    for part, whole in (
        (seconds, DAY_S),
        (ops.mod(days + 3, 7), 7),  # 1970-01-01 was a Thursday; Monday is 0
        (days - first, YEAR_DAYS),
    ):
        angle = ops.cast(part, "float32") * (2 * np.pi / whole)
        parts += [ops.sin(angle), ops.cos(angle)]
    stamps = ops.where(ops.expand_dims(present, 2), ops.stack(parts, axis=2), 0.0)
    wanted = np.array([[f.trend, *[f.cyclical] * len(WAVES)] for f in features])
    if not wanted.any():
        return present, []
    table = ops.reshape(stamps, (-1, wanted.size))
    return present, [ops.take(table, np.flatnonzero(wanted), axis=1)]


def _trend(days: Tensor, seconds: Tensor, features: list[Timestamp]) -> Tensor:
    """Return where times, (B, S), are between start and end: from -1 to 1."""
    starts_s, lengths_s = np.array([trend_range(f) for f in features], np.float64).T
    # Days first: seconds since 1970 do not fit 32 bits.
    start_days, start_seconds = np.divmod(starts_s, DAY_S)
    since = (ops.cast(days, "float64") - start_days) * float(DAY_S)
    since += ops.cast(seconds, "float64") - start_seconds
    return ops.cast(ops.clip(since / lengths_s * 2.0 - 1.0, -1.0, 1.0), "float32")


def _days_from_civil(year: Tensor, month: Tensor, day: Tensor) -> Tensor:
    """Return the days since 1970-01-01, int32 (H. Hinnant, chrono-compatible date algorithms).

    The year begins in March, so that the leap day is its last.
    """
    early = ops.cast(month <= 2, "int32")
    year = year - early
    era = ops.floor_divide(year, 400)
    year_of_era = year - era * 400
    day_of_year = ops.floor_divide(153 * (month + 12 * early - 3) + 2, 5) + day - 1
    leap_days = ops.floor_divide(year_of_era, 4) - ops.floor_divide(year_of_era, 100)
    return era * 146_097 + year_of_era * 365 + leap_days + day_of_year - 719_468
