"""Preprocessing as a part of the saved model: what `trainer.features` computes, as Keras layers.

Made of layers and operations that Keras has built in, so that loading needs no code of ours, and
Keras's safe mode allows it.
"""

from __future__ import annotations

from typing import Any

import keras
import numpy as np
import numpy.typing as npt
from keras import layers, ops

from trainer.features.scaling import knots
from trainer.features.spec import FeatureSpec, Hashed, Number, Quantile, Text, Timestamp
from trainer.features.timestamps import DAY_S, TIMESTAMP_LENGTH, YEAR_DAYS, trend_range
from trainer.features.tokens import hash_tokens, list_characters, text_length

Tensor = Any  # a KerasTensor; Keras has no type stubs
Layer = Any

PREPROCESSING = "preprocessing"

_DIGITS = list("0123456789")
# So many blanks may stand before a timestamp. No measured reason.
_BLANKS = 13


def build_preprocessing(spec: FeatureSpec) -> keras.Model:
    """Return the model from raw columns, in the order of `spec.features`, to X, shape (B, F).

    A model of its own, so that names of its layers do not meet those of columns.
    """
    raw = {
        f.column: keras.Input((1,), dtype="float64" if isinstance(f, Number) else "string")
        for f in spec.features
    }
    dense: list[Tensor] = []
    indicators: list[Tensor] = []
    if spec.numeric:
        numbers = ops.concatenate([raw[f.column] for f in spec.numeric], axis=1)
        present = ops.isfinite(numbers)
        filled = ops.where(present, numbers, _row([f.fill for f in spec.numeric]))
        dense += [_float32(part) for part in _scale_numbers(filled, spec)]
        missing = _float32(ops.logical_not(present))
        indicators += [missing[:, i : i + 1] for i, f in enumerate(spec.numeric) if f.indicator]
    times: list[Tensor] = []
    for stamp in spec.temporal:
        present, parts = _encode_timestamp(raw[stamp.column], stamp)
        times += parts
        if stamp.indicator:
            indicators.append(_float32(ops.logical_not(present)))
    texts = [f for f in spec.categorical if isinstance(f, Text)]
    # One for all of them: it holds every character there is.
    characters: Layer = _build_characters(max(f.tokens for f in texts)) if texts else None
    indexes = []
    for feature in spec.categorical:
        field = raw[feature.column]
        if isinstance(feature, Hashed):
            index = layers.Hashing(feature.bins + 1, mask_value="")(field)
        elif isinstance(feature, Text):
            numbered = ops.cast(characters(field), "int32")[:, : text_length(feature.tokens)]
            index = hash_tokens(numbered, ops, tokens=feature.tokens, bins=feature.bins)
        else:
            index = layers.StringLookup(vocabulary=list(feature.values), mask_token="")(field)
        indexes.append(_float32(index))
    x = ops.concatenate([*dense, *indicators, *times, *indexes], axis=1)
    return keras.Model(list(raw.values()), x, name=PREPROCESSING)


def _scale_numbers(filled: Tensor, spec: FeatureSpec) -> list[Tensor]:
    """Return numbers, (B, N) float64, as the features of `spec.numeric` are scaled."""
    parts = []
    logs, quantiles = len(spec.standard), len(spec.standard) + len(spec.log)
    if spec.standard:
        mean, std = _row([f.mean for f in spec.standard]), _row([f.std for f in spec.standard])
        parts.append((filled[:, :logs] - mean) / std)
    if spec.log:
        found = filled[:, logs:quantiles]
        mean, std = _row([f.mean for f in spec.log]), _row([f.std for f in spec.log])
        sizes = ops.log1p(ops.abs(found) / _row([f.unit for f in spec.log]))
        parts.append((ops.sign(found) * sizes - mean) / std)
    if spec.quantile:
        parts.append(_interpolate(filled[:, quantiles:], spec.quantile))
    return parts


def _interpolate(numbers: Tensor, features: list[Quantile]) -> Tensor:
    """Return what numbers, (B, Q), are mapped to: for each pair of knots, its part of the way."""
    found = [knots(f.quantiles) for f in features]
    most = max(len(x) for x, _ in found)
    # All have as many pairs: those that are missing lead nowhere.
    starts, lengths, steps = np.zeros((3, len(found), most - 1))
    lengths += 1
    for row, (x, targets) in enumerate(found):
        starts[row, : len(x) - 1], lengths[row, : len(x) - 1] = x[:-1], np.diff(x)
        steps[row, : len(x) - 1] = np.diff(targets)
    shares = ops.clip((ops.expand_dims(numbers, 2) - starts) / lengths, 0.0, 1.0)
    return ops.sum(shares * steps, axis=2) + _row([targets[0] for _, targets in found])


def _build_characters(tokens: int) -> Layer:
    """Return the layer from texts, (B, 1), to the numbers of their characters, (B, L)."""
    return layers.TextVectorization(
        standardize="lower",  # ASCII only
        split="character",
        output_mode="int",
        output_sequence_length=text_length(tokens),
        vocabulary=list_characters(),
    )


def _row(values: list[float]) -> npt.NDArray[np.float64]:
    return np.array([values], np.float64)


def _float32(x: Tensor) -> Tensor:
    return ops.cast(x, "float32")


def _encode_timestamp(text: Tensor, feature: Timestamp) -> tuple[Tensor, list[Tensor]]:
    """Return where timestamps are present, and their parts; (B, 1) each, from text (B, 1)."""
    padded = layers.TextVectorization(
        standardize=None,
        split="character",
        output_mode="int",
        output_sequence_length=_BLANKS + TIMESTAMP_LENGTH,
        vocabulary=_DIGITS,
    )(text)
    # Behind padding (0) and unknown (1) come the digits. What is none (-1) before the first of
    # them is blanks, or there is no timestamp at all.
    padded = ops.maximum(ops.cast(padded, "int32") - 2, -1)
    first_digit = ops.argmax(padded >= 0, axis=1, keepdims=True)
    places = ops.cast(first_digit, "int32") + np.arange(TIMESTAMP_LENGTH, dtype=np.int32)
    places = ops.minimum(places, _BLANKS + TIMESTAMP_LENGTH - 1)
    characters = ops.take_along_axis(padded, places, axis=1)
    date = ops.take(characters, [0, 1, 2, 3, 5, 6, 8, 9], axis=1)
    present = ops.all(date >= 0, axis=1, keepdims=True)
    # What is not there (2025-04-01 has no hour) counts as zero.
    digits = ops.maximum(characters, 0)

    def number(*positions: int) -> Tensor:
        total = digits[:, positions[0] : positions[0] + 1]
        for position in positions[1:]:
            total = total * 10 + digits[:, position : position + 1]
        return total

    year, month, day = number(0, 1, 2, 3), number(5, 6), number(8, 9)
    seconds = (number(11, 12) * 60 + number(14, 15)) * 60 + number(17, 18)
    days = _days_from_civil(year, month, day)
    parts = []
    if feature.trend:
        start_s, length_s = trend_range(feature)
        # Days first: seconds since 1970 do not fit 32 bits.
        start_day, start_second = divmod(start_s, DAY_S)
        since = ops.cast(days - start_day, "float64") * float(DAY_S)
        since += ops.cast(seconds - start_second, "float64")
        parts.append(_float32(ops.clip(since / length_s * 2.0 - 1.0, -1.0, 1.0)))
    if feature.cyclical:
        first = _days_from_civil(year, ops.ones_like(month), ops.ones_like(day))
        for part, whole in (
            (seconds, DAY_S),
            (ops.mod(days + 3, 7), 7),  # 1970-01-01 was a Thursday; Monday is 0
            (days - first, YEAR_DAYS),
        ):
            angle = ops.cast(part, "float32") * (2 * np.pi / whole)
            parts += [ops.sin(angle), ops.cos(angle)]
    return present, [ops.where(present, part, 0.0) for part in parts]


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
