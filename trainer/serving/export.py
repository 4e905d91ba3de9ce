"""The saved model: preprocessing and core model in one, so that it takes the raw columns.

    {"level": (B, 1) float64, "class": (B, 1) text, …} ──> preprocessing ──> core ──> original units

`trainer.serving.preprocess` builds the first part. `trainer.serving.parity` holds the whole to the
training path.
"""

from __future__ import annotations

from collections.abc import Collection, Sequence
from typing import Any

import keras
import numpy as np
from keras import ops

from trainer.features.spec import FeatureSpec, Number
from trainer.serving.preprocess import PREPROCESSING, build_preprocessing, stack_columns
from trainer.serving.timestamps import Tensor

UNITS = "original_units"


def input_names(columns: Sequence[str], *, taken: Collection[str] = ()) -> dict[str, str]:
    """Return the name of the model's input for each column: that of the column, where it can be.

    Keras allows neither an empty name nor a '/', nor the name of a layer: such columns get
    "unnamed", '_' for '/', and "_2", "_3" behind it.
    """
    names: dict[str, str] = {}
    used = {*taken, *columns}
    for column in columns:
        name = stem = column.replace("/", "_") or "unnamed"
        number = 2
        while name in used and (name != column or name in taken):
            name = f"{stem}_{number}"
            number += 1
        used.add(name)
        names[column] = name
    return names


def export_model(core: keras.Model, spec: FeatureSpec) -> keras.Model:
    """Put preprocessing before a core model, and original units behind it.

    Returns:
        A model that takes a dict, named as `input_names` says, of text (timestamps too) and
        float64 numbers (NaN where missing), of shape (B, 1) each. It gives what the core model
        gives; for a regression the label in its own units, shape (B, 1), float64. With a transform,
        whose code cannot be part of it, it takes what that gives, X of shape (B, F), float32.
    """
    if spec.transform is not None:
        matrix = keras.Input((spec.width,), name="features")
        return keras.Model(matrix, _to_units(core(matrix), spec))
    names = exported_names(core, spec)
    inputs = {
        names[f.column]: keras.Input(
            (1,), name=names[f.column], dtype="float64" if isinstance(f, Number) else "string"
        )
        for f in spec.features
    }
    output = core(build_preprocessing(spec)(stack_columns(list(inputs.values()))))
    return keras.Model(inputs, _to_units(output, spec))


def _to_units(output: Tensor, spec: FeatureSpec) -> Tensor:
    return _build_units(spec)(output) if spec.label.task == "regression" else output


def copy_to_serve(core: keras.Model) -> keras.Model:
    """Return a core model without its optimiser, whose state is twice the weights, in float32.

    What bfloat16 gives depends on how the operations are compiled, and ONNX lacks it.

    Raises:
        TypeError, ValueError, NotImplementedError: it cannot be described, or not be made again.
    """
    described = keras.saving.serialize_keras_object(core)
    described.pop("compile_config", None)
    policy = keras.config.dtype_policy().name
    copy: keras.Model = keras.saving.deserialize_keras_object(_replace(described, policy))
    copy.set_weights(core.get_weights())
    return copy


def _replace(value: Any, policy: str) -> Any:
    """Return a description of a model with float32 in place of a policy."""
    if isinstance(value, dict):
        return {name: _replace(part, policy) for name, part in value.items()}
    if isinstance(value, list | tuple):
        return type(value)(_replace(part, policy) for part in value)
    return "float32" if value == policy else value


def exported_names(core: keras.Model, spec: FeatureSpec) -> dict[str, str]:
    """Return the name of the input for each column of an exported model; of a transform's, none."""
    if spec.transform is not None:
        return {}
    return input_names([f.column for f in spec.features], taken={core.name, PREPROCESSING, UNITS})


def _build_units(spec: FeatureSpec) -> keras.Model:
    """Return the model from standardised labels, (B, 1) float32, to labels, (B, 1) float64.

    `layers.Rescaling` would round the mean to float32, and the deviation may be small beside it.
    """
    standardised = keras.Input((1,))
    scaled = ops.multiply(ops.cast(standardised, "float64"), np.float64(spec.label.std))
    return keras.Model(standardised, ops.add(scaled, np.float64(spec.label.mean)), name=UNITS)
