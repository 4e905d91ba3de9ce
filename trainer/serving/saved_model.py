"""TensorFlow's SavedModel of a run: takes the raw columns, for TensorFlow Serving and the like."""

from __future__ import annotations

import re
from pathlib import Path

import keras
import pyarrow as pa
import tensorflow as tf

from trainer.features.encode import Float32
from trainer.metrics import Array
from trainer.rundir import Run
from trainer.serving.parity import raw_inputs

# What TensorFlow takes for the name of an input.
_NAME = re.compile(r"[A-Za-z0-9.][A-Za-z0-9_.\\/>-]*")


def signature_names(run: Run) -> dict[str, str]:
    """Return the name of each column's input: that of `model.keras`, where TensorFlow takes it.

    Else `column_1`, `column_2` and so on, by its place among the inputs.
    """
    return {
        column: name if _NAME.fullmatch(name) else f"column_{number}"
        for number, (column, name) in enumerate(run.inputs.items(), start=1)
    }


def write_saved_model(model: keras.Model, run: Run, path: Path) -> None:
    """Write a model that takes raw columns, with the signature `serving_default`.

    `Model.export` does the same, but for the names: of 職業 or "a b" it makes an error.
    """
    named = signature_names(run)
    dtypes = {tensor.name: tensor.dtype for tensor in model.inputs}
    inputs = {
        name: tf.TensorSpec((None, 1), dtypes[name], name=named[column])
        for column, name in run.inputs.items()
    }
    archive = keras.export.ExportArchive()
    archive.track(model)
    archive.add_endpoint("serve", model.__call__, input_signature=[inputs])
    archive.write_out(str(path), verbose=False)


def serve_saved_model(path: Path, run: Run, table: pa.RecordBatch, x: Float32) -> Array:  # noqa: ARG001
    """Return what it gives for records."""
    serve = tf.saved_model.load(str(path)).signatures["serving_default"]
    raw = raw_inputs(table, run.spec, signature_names(run))
    (output,) = serve(**{name: tf.constant(values) for name, values in raw.items()}).values()
    found: Array = output.numpy()
    return found
