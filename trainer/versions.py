"""The versions of what computes a result: another one may compute another."""

from __future__ import annotations

import platform
from importlib.metadata import PackageNotFoundError, version

_LIBRARIES = ("shardfit", "keras", "tensorflow", "numpy", "pyarrow")


def find_versions() -> dict[str, str]:
    """Return the versions of Python and of the libraries that matter, without importing these."""
    found = {"python": platform.python_version()}
    for library in _LIBRARIES:
        try:
            found[library] = version(library)
        except PackageNotFoundError:  # a checkout that is not installed, or another backend
            continue
    return found
