"""The versions of what computes a result: another one may compute another."""

from __future__ import annotations

import json
import os
import platform
import sys
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path

_LIBRARIES = ("shardfit", "keras", "numpy", "pyarrow")


def find_backend() -> str:
    """Return the backend of Keras: that which it has, or will have by its settings."""
    if (keras := sys.modules.get("keras")) is not None:
        return str(keras.backend.backend())
    if name := os.environ.get("KERAS_BACKEND"):
        return name
    home = os.environ.get("KERAS_HOME")
    directory = Path(home) if home else Path("~/.keras").expanduser()
    try:
        return str(json.loads((directory / "keras.json").read_bytes())["backend"])
    except (OSError, ValueError, LookupError, TypeError, RecursionError):
        return "tensorflow"


def find_versions() -> dict[str, str]:
    """Return the versions of Python and of the libraries that matter, without importing these."""
    found = {"python": platform.python_version()}
    for library in (*_LIBRARIES, find_backend()):
        try:
            found[library] = version(library)
        except PackageNotFoundError:  # a checkout that is not installed
            continue
    return found
