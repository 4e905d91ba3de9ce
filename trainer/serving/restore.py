"""Takes the model of a finished run out of its directory, which may be anybody's.

No code is run that comes with it: Keras loads in its safe mode, and `run.json` may name the module
of layers of one's own, but only the command line has it imported.
"""

from __future__ import annotations

import re
import zipfile
from pathlib import Path

import keras

from shared.errors import ModelError
from shared.reading import open_plain
from shared.user_code import import_user_module
from trainer.rundir import MODEL_NAME, Run

# Keras does not pack what it saves. Who did may have packed it to a thousandth, so that it does not
# fit into any memory.
_MOST_PACKED = 10


def load_core(path: Path, run: Run, model: str | None = None) -> keras.Model:
    """Load the core model of the run in directory `path`: from X (B, F) to its outputs.

    The arguments and errors are those of `load_model`.
    """
    return load_model(path, run, model).get_layer(run.core)


def load_model(path: Path, run: Run, model: str | None = None) -> keras.Model:
    """Load the model of the run in directory `path`: from raw columns to its outputs.

    Args:
        path: directory of the run.
        run: its `run.json`.
        model: `MODULE:FUNCTION` that the model was made with, where it has layers of its own.

    Raises:
        ModelError: the file is not there, or cannot be loaded.
    """
    file = path / MODEL_NAME
    if model is not None:
        import_user_module(model, "--model")  # where the user's own layers are registered
    hint = "train again, or restore the file"
    if model is None and (reference := run.options.get("model")):
        hint = f"if you trust the code of the model's layers, give --model {reference}"
    try:
        _check_archive(file)
        loaded = keras.saving.load_model(file, safe_mode=True)
        loaded.get_layer(run.core)
    except (OSError, ValueError, TypeError, KeyError, AttributeError, zipfile.BadZipFile) as error:
        raise ModelError(
            file,
            expected="the model that `trainer fit` saved",
            found=_spell(error),
            hint=hint,
        ) from None
    return loaded


def _spell(error: Exception) -> str:
    text = str(error).strip() or type(error).__name__
    # Keras's own says at length what a custom class lacks, and at its end which one.
    missing = re.search(r"Could not locate class ('\w+')", text)
    return f"no class {missing[1]}" if missing else text.splitlines()[0]


def _check_archive(file: Path) -> None:
    """Refuse an archive that grows when it is unpacked.

    Raises:
        OSError, zipfile.BadZipFile: it cannot be read, or is none.
        ValueError: it grows.
    """
    with open_plain(file) as opened, zipfile.ZipFile(opened) as archive:
        packed_bytes = opened.seek(0, 2)
        bytes_ = sum(entry.file_size for entry in archive.infolist())
    if bytes_ > _MOST_PACKED * packed_bytes:
        raise ValueError(f"{packed_bytes:,} bytes that unpack to {bytes_:,}")
