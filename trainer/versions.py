"""The versions of what computes a result: another one may compute another."""

from __future__ import annotations

import os
import platform
from importlib.metadata import PackageNotFoundError, version

_LIBRARIES = ("shardfit", "keras", "numpy", "pyarrow")


def find_backend() -> str:
    """Return the backend that the environment tells Keras to have."""
    return os.environ.get("KERAS_BACKEND", "tensorflow")


def find_versions() -> dict[str, str]:
    """Return the versions of Python and of the libraries that matter, without importing these."""
    found = {"python": platform.python_version()}
    for library in (*_LIBRARIES, find_backend()):
        try:
            found[library] = version(library)
        except PackageNotFoundError:  # a checkout that is not installed
            continue
    return found
