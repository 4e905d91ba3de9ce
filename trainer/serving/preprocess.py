"""Preprocessing as a part of the saved model: what `trainer.features` computes, as Keras layers.

Made of layers and operations that Keras has built in, so that loading needs no code of ours, and
Keras's safe mode allows it. The columns of a kind go through these at once: of a table with
thousands of columns, operations for each of them would take minutes and gigabytes.

Shapes: B records, F features, N numbers, K columns of a kind, T tokens of a text.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Sequence
from typing import Any

import keras
import msgspec
import numpy as np
import numpy.typing as npt
from keras import layers, ops

from trainer.features.scaling import knots
from trainer.features.spec import (
    Categorical,
    Category,
    FeatureSpec,
    Hashed,
    Number,
    Quantile,
    Text,
    Timestamp,
)
from trainer.features.tokens import hash_tokens, list_characters, text_length
from trainer.serving.timestamps import Tensor, encode_timestamps

Layer = Any  # Keras has no type stubs

PREPROCESSING = "preprocessing"


def stack_columns(columns: Sequence[Tensor]) -> list[Tensor]:
    """Return what the preprocessing takes: all numbers, (B, N) float64, and all texts, (B, K).

    Args:
        columns: of shape (B, 1), in the order of `spec.features`; if all are of one sort, there is
            nothing of the other.
    """
    sorts: dict[str, list[Tensor]] = {"float64": [], "string": []}
    for column in columns:
        sorts[keras.backend.standardize_dtype(column.dtype)].append(column)
    return [ops.concatenate(found, axis=1) for found in sorts.values() if found]


def build_preprocessing(spec: FeatureSpec) -> keras.Model:
    """Return the model from what `stack_columns` gives to X, shape (B, F).

    A model of its own, so that names of its layers do not meet those of columns.
    """
    numbers = [f.column for f in spec.features if isinstance(f, Number)]
    texts = [f.column for f in spec.features if not isinstance(f, Number)]
    inputs: list[Tensor] = []
    dense: list[Tensor] = []
    indicators: list[Tensor] = []
    rest: list[Tensor] = []
    if numbers:
        inputs.append(keras.Input((len(numbers),), dtype="float64"))
        found = _take_columns(inputs[-1], numbers, [f.column for f in spec.numeric])
        present = ops.isfinite(found)
        filled = ops.where(present, found, _row([f.fill for f in spec.numeric]))
        dense = [_float32(part) for part in _scale_numbers(filled, spec)]
        indicators += _indicate(present, spec.numeric)
    if texts:
        inputs.append(keras.Input((len(texts),), dtype="string"))
    if spec.temporal:
        stamps = _take_columns(inputs[-1], texts, [f.column for f in spec.temporal])
        present, times = encode_timestamps(stamps, spec.temporal)
        indicators += _indicate(present, spec.temporal)
        rest += times
    if spec.categorical:
        rest.append(_encode_categories(inputs[-1], texts, spec))
    x = ops.concatenate([*dense, *indicators, *rest], axis=1)
    return keras.Model(inputs, x, name=PREPROCESSING)


def _take_columns(matrix: Tensor, columns: Sequence[str], wanted: Sequence[str]) -> Tensor:
    """Return columns of a matrix, (B, K), by their names."""
    places = {column: place for place, column in enumerate(columns)}
    return ops.take(matrix, [places[column] for column in wanted], axis=1)


def _indicate(present: Tensor, features: Sequence[Number | Timestamp]) -> list[Tensor]:
    """Return 1 where the features that tell of it are missing, if there are such."""
    places = [place for place, feature in enumerate(features) if feature.indicator]
    return [_float32(ops.logical_not(ops.take(present, places, axis=1)))] if places else []


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


def _encode_categories(text: Tensor, columns: Sequence[str], spec: FeatureSpec) -> Tensor:
    """Return the indexes of all categories, in the order of X."""
    # Those whose encodings differ in nothing go through one layer.
    alike: defaultdict[Categorical, list[Category]] = defaultdict(list)
    for feature, category in zip(spec.categorical, spec.categories, strict=True):
        alike[msgspec.structs.replace(feature, column="", embedding=1)].append(category)
    lengths = [text_length(f.tokens) for f in alike if isinstance(f, Text)]
    # One for all of them: it holds every character there is.
    characters = _build_characters(max(lengths)) if lengths else None
    indexes: list[Tensor] = []
    places: list[int] = []
    for encoding, categories in alike.items():
        fields = _take_columns(text, columns, [category.name for category in categories])
        if isinstance(encoding, Hashed):
            index = layers.Hashing(encoding.bins + 1, mask_value="")(fields)
        elif isinstance(encoding, Text):
            index = _hash_texts(fields, encoding, characters)
        else:
            index = layers.StringLookup(vocabulary=list(encoding.values), mask_token="")(fields)
        indexes.append(index)
        for category in categories:
            places += range(category.position, category.position + category.width)
    return _float32(ops.take(ops.concatenate(indexes, axis=1), np.argsort(places), axis=1))


def _build_characters(length: int) -> Layer:
    """Return the layer from texts, (B, 1), to the numbers of their characters, (B, length)."""
    return layers.TextVectorization(
        standardize="lower",  # ASCII only
        split="character",
        output_mode="int",
        output_sequence_length=length,
        vocabulary=list_characters(),
    )


def _hash_texts(texts: Tensor, encoding: Text, characters: Layer) -> Tensor:
    """Return the indexes of the tokens of texts, (B, K), text by text: (B, K * T)."""
    columns = texts.shape[1]
    numbered = characters(ops.reshape(texts, (-1, 1)))[:, : text_length(encoding.tokens)]
    numbered = ops.cast(numbered, "int32")
    index = hash_tokens(numbered, ops, tokens=encoding.tokens, bins=encoding.bins)
    return ops.reshape(index, (-1, columns * encoding.tokens))


def _row(values: list[float]) -> npt.NDArray[np.float64]:
    return np.array([values], np.float64)


def _float32(x: Tensor) -> Tensor:
    return ops.cast(x, "float32")
