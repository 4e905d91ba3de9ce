"""The names of a data drop: what the user gave, made into the places to read from, in order."""

from __future__ import annotations

import glob
import re
import stat
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

from sharder.sources.origin import LocalFile, Origin, Pipe, RemoteFile, readable
from shared.errors import SourceError

_STDIN = "-"


def open_drop(names: Sequence[str]) -> list[Origin]:
    """Return the origins of a drop, in the order of their names.

    Args:
        names: files, `-` for stdin, URLs, and patterns of these, such as `part-*.csv.gz`. What a
            pattern finds is in natural order: part-2 comes before part-10.

    Raises:
        SourceError: missing, unreadable, or named twice.
    """
    origins: list[Origin] = []
    for name in names:
        origins += _open_url(name) if "://" in name else _open_path(name)
    seen: dict[object, str] = {}
    for origin in origins:
        if origin.identity in seen:
            raise SourceError(
                origin.name,
                expected="each source once",
                found=f"the same as {seen[origin.identity]}",
                hint="records that are there twice would be on both sides: name it once",
            )
        seen[origin.identity] = origin.name
    return origins


def _open_path(name: str) -> Iterator[Origin]:
    if name == _STDIN:
        yield Pipe("stdin", handle=0)
        return
    paths = [name]
    if glob.has_magic(name) and not Path(name).exists():
        found = glob.glob(name, recursive=True)  # noqa: PTH207 -- keeps the name's spelling
        paths = _sorted(name, [path for path in found if not Path(path).is_dir()])
    for path in paths:
        with readable(path):
            mode = Path(path).stat().st_mode
        # A directory is no file either: opening it says so.
        is_file = stat.S_ISREG(mode) or stat.S_ISDIR(mode)
        yield LocalFile(path) if is_file else Pipe(path)


def _open_url(name: str) -> Iterator[Origin]:
    # Not at the top: most runs read files, and it takes a while.
    from fsspec.core import url_to_fs

    with readable(name):
        file_system, path = url_to_fs(name)
        # A web address may have a ? that is no pattern.
        if name.startswith(("http://", "https://")) or not glob.has_magic(path):
            yield RemoteFile(name, file_system, path)
            return
        found = _sorted(name, _find(file_system, path))
    for path in found:
        yield RemoteFile(file_system.unstrip_protocol(path), file_system, path)


def _find(file_system: Any, pattern: str) -> list[str]:
    found: dict[str, dict[str, str]] = file_system.glob(pattern, detail=True)
    return [path for path, info in found.items() if info["type"] == "file"]


def _sorted(pattern: str, paths: list[str]) -> list[str]:
    if not paths:
        raise SourceError(pattern, expected="a pattern that finds files", found="none")
    return sorted(paths, key=natural_key)


def natural_key(name: str) -> list[tuple[int, str]]:
    """Return a key that sorts the numbers in names by their value: part-2 before part-10."""
    parts = re.split(r"(\d+)", name)
    # Text and numbers take turns, so that like is compared with like.
    return [(int(part), part) if index % 2 else (0, part) for index, part in enumerate(parts)]
