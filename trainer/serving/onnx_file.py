"""ONNX of a run: takes the encoded matrix X.

Raw columns are beyond it. ONNX has neither FarmHash nor the characters of a text, so neither hashed
columns nor timestamps can be expressed; and tf2onnx 1.17 leaves Keras's lookups in as operations
that no runtime knows, and makes NaN of missing numbers.
"""

from __future__ import annotations

import logging
import warnings
from pathlib import Path

import keras
import msgspec
import pyarrow as pa

from shared.errors import ModelError
from trainer.features.encode import Float32
from trainer.metrics import Array
from trainer.rundir import Run
from trainer.serving.export import UNITS

_INPUT = "x"


def write_onnx(model: keras.Model, run: Run, path: Path) -> None:
    """Write the part of a model that is behind its preprocessing.

    It takes `x`, float32 of shape (B, F); the metadata `columns` has the names of these, as JSON.

    Raises:
        ModelError: a layer of it cannot be expressed.
    """
    import onnx

    x = keras.Input((run.spec.width,), name=_INPUT)
    output = model.get_layer(run.core)(x)
    if run.spec.label.task == "regression":
        output = model.get_layer(UNITS)(output)
    signature = [keras.InputSpec(shape=(None, run.spec.width), dtype="float32", name=_INPUT)]
    # They log what they do not know, and go on. What comes of it is tried out.
    logging.disable(logging.CRITICAL)
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            keras.Model(x, output).export(
                str(path), format="onnx", input_signature=signature, verbose=False
            )
    except (ValueError, TypeError, NotImplementedError) as error:
        raise _inexpressible(error) from None
    finally:
        logging.disable(logging.NOTSET)
    written = onnx.load(path)
    columns = written.metadata_props.add()
    columns.key, columns.value = "columns", msgspec.json.encode(run.spec.names).decode()
    onnx.save(written, path)


def serve_onnx(path: Path, run: Run, table: pa.RecordBatch, x: Float32) -> Array:  # noqa: ARG001
    """Return what it gives for X in onnxruntime.

    Raises:
        ModelError: it cannot be run.
    """
    import onnxruntime

    try:
        session = onnxruntime.InferenceSession(path, providers=["CPUExecutionProvider"])
        (found,) = session.run(None, {_INPUT: x})
    except Exception as error:  # its own classes have no other base
        raise _inexpressible(error) from None
    output: Array = found
    return output


def _inexpressible(error: Exception) -> ModelError:
    return ModelError(
        "the model cannot be written as ONNX",
        found=str(error).strip().splitlines()[0],
        hint="a layer of --model is not known there; --format saved_model takes all of them",
    )
