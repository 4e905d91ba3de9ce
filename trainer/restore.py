"""Takes the core model of a finished run out of its directory."""

from __future__ import annotations

from pathlib import Path

import keras

from shared.errors import ModelError
from trainer.model import import_user_module
from trainer.rundir import MODEL_NAME, Run


def load_core(path: Path, run: Run) -> keras.Model:
    """Load the core model of the run in directory `path`: from X (B, F) to its outputs.

    Raises:
        ModelError: the file is not there, or cannot be loaded.
    """
    file = path / MODEL_NAME
    if reference := run.options["model"]:
        # Where the user's own layers are registered.
        import_user_module(str(reference))
    try:
        return keras.saving.load_model(file).get_layer(run.core)
    except (OSError, ValueError, TypeError) as error:
        raise ModelError(
            file,
            expected="the model that `trainer fit` saved",
            found=str(error).strip().splitlines()[0],
            hint="train again, or restore the file",
        ) from None
