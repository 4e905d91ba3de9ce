"""Where the programs keep what is a user's, and can be made anew."""

from __future__ import annotations

import os
from pathlib import Path


def user_cache() -> Path | None:
    """Return the directory; None for a user without a home, as in a container."""
    home = os.environ.get("XDG_CACHE_HOME")
    try:
        return (Path(home) if home else Path("~/.cache").expanduser()) / "shardfit"
    except RuntimeError:
        return None


def is_cached(path: Path) -> bool:
    """Tell whether a path is below that directory."""
    return user_cache() in path.parents
