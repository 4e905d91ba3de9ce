"""What a saved model gives for raw columns, which takes TensorFlow, whatever backend trained it.

python -m trainer.serving.serve MODEL INPUTS.npz OUTPUTS.npz [MODULE:FUNCTION]
"""

from __future__ import annotations

import os
import subprocess
import sys
import tempfile
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import keras
import numpy as np
import numpy.typing as npt

from shared.errors import ModelError
from shared.user_code import import_user_module
from trainer.serving.preprocess import PREPROCESSING, stack_columns

Array = npt.NDArray[Any]


def serve(path: Path, raw: Mapping[str, Array]) -> tuple[Array, Array]:
    """Return features and outputs of a saved model, with TensorFlow as the backend.

    Args:
        path: of the model.
        raw: its inputs by their names, of shape (B, 1), in their order.

    Returns:
        The features, shape (B, F), and the outputs, shape (B, 1) or (B, C).
    """
    saved = keras.saving.load_model(path)
    # Called, not `predict_on_batch`, which would trace each of two models for one batch.
    inputs = {name: keras.ops.convert_to_tensor(values) for name, values in raw.items()}
    features = saved.get_layer(PREPROCESSING)(stack_columns(list(inputs.values())))
    return np.asarray(features), np.asarray(saved(inputs))


def serve_elsewhere(path: Path, raw: Mapping[str, Array], model: str | None) -> tuple[Array, Array]:
    """Do so in another process, with TensorFlow as its backend.

    Args:
        path: of the saved model.
        raw: its inputs by their names, of shape (B, 1), in their order.
        model: `MODULE:FUNCTION`, where the model has layers of one's own.

    Raises:
        ModelError: TensorFlow does not take it.
    """
    with tempfile.TemporaryDirectory() as directory:
        inputs, outputs = Path(directory, "inputs.npz"), Path(directory, "outputs.npz")
        # By number: a name may be anything.
        np.savez(inputs, np.array(list(raw)), *raw.values())
        done = subprocess.run(
            [sys.executable, "-m", __name__, path, inputs, outputs, *filter(None, [model])],
            env=os.environ
            | {
                "KERAS_BACKEND": "tensorflow",
                "TF_CPP_MIN_LOG_LEVEL": "3",
                "PYTHONPATH": os.pathsep.join(filter(None, sys.path)),
            },
            capture_output=True,
            text=True,
            check=False,
        )
        if done.returncode:
            raise ModelError(
                path,
                expected="a model that TensorFlow can serve, too",
                found=(done.stderr.strip().splitlines() or ["no word"])[-1],
            )
        with np.load(outputs) as found:
            return found["features"], found["output"]


def main(path: str, inputs: str, outputs: str, model: str | None = None) -> None:
    """Read inputs, and write what the model gives for them."""
    if model is not None:
        import_user_module(model, "--model")
    with np.load(inputs) as found:
        names, *values = (found[name] for name in found.files)
    features, output = serve(Path(path), dict(zip(map(str, names), values, strict=True)))
    np.savez(outputs, features=features, output=output)


if __name__ == "__main__":
    main(*sys.argv[1:])
