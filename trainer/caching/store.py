"""Where caches lie, which of them there are, and how much room they may take.

`auto` is beside the dataset, hidden: data/.log_quest.cache for data/log_quest. A cache is about as
large as its dataset, so it belongs on the disk that was chosen for that, not in a home directory
with a quota, and whoever removes data/ removes it too. Where that place cannot be written to, it is
in the user's cache directory (https://specifications.freedesktop.org/basedir-spec/latest/).
"""

from __future__ import annotations

import contextlib
import os
import re
import shutil
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from rich.filesize import decimal

from shared.durable import refuse_link
from shared.errors import ConfigError, ContractError, TargetError
from shared.home import user_cache
from shared.layout import Side, shard_dir
from shared.manifest import spell_path
from trainer.caching.cache import CONTENTS_NAME, Contents, read_contents
from trainer.caching.writer import PARTIAL_SUFFIX, lock_partial

# Room that is left on the disk. No measured reason: it keeps the system and the run's own files
# alive.
FREE_BYTES = 1 << 30

# As `cache_name` gives it: what is called otherwise is not touched.
_NAME = re.compile(r"[a-z]+-[0-9a-f]{16}-[0-9a-f]{16}")


@dataclass(frozen=True, kw_only=True)
class Entry:
    """A cache on disk.

    Attributes:
        path: its directory.
        contents: what it is of.
        bytes: size of its files.
        used_s: when it was last opened by a run, in seconds since 1970.
    """

    path: Path
    contents: Contents
    bytes: int
    used_s: float

    def remove(self) -> None:
        """Remove it. A run that reads it keeps its files until it ends.

        Raises:
            OSError: it cannot be removed.
        """
        # First what makes it a cache: one that is half removed is none.
        (self.path / CONTENTS_NAME).unlink(missing_ok=True)
        shutil.rmtree(self.path, ignore_errors=True)


def places(cache: str | os.PathLike[str], dataset: Path) -> list[Path]:
    """Return the directories where caches of a dataset lie; the first one is preferred.

    Args:
        cache: "auto", or a directory.
        dataset: directory of the dataset.
    """
    return [_beside(dataset), *_user_places()] if cache == "auto" else [Path(cache)]


def is_there(path: Path) -> bool:
    """Return whether there is something that may be looked at; `Path.exists` can also fail."""
    return os.access(path, os.F_OK)


def _beside(dataset: Path) -> Path:
    dataset = dataset.resolve()
    return dataset.parent / f".{dataset.name}.cache"


def _user_places() -> list[Path]:
    """Return the user's cache directory; none for a user without a home, as in a container."""
    cache = user_cache()
    return [] if cache is None else [cache]


def find_caches(path: Path) -> list[Entry]:
    """Return the caches of a dataset, or those in a directory that `cache` was.

    Raises:
        ConfigError: it is neither.
        TargetError: it cannot be read.
    """
    if is_there(shard_dir(path, Side.TRAIN)) or is_there(_beside(path)):
        dataset = spell_path(path.resolve())
        of_user = [
            entry
            for place in _user_places()
            for entry in _list_caches(place)
            if entry.contents.dataset == dataset
        ]
        return _list_caches(_beside(path)) + of_user
    if is_there(path) and path.is_dir():
        return _list_caches(path)
    raise ConfigError(
        path, expected="a dataset, or a directory of caches", found="no such directory"
    )


def clear_caches(path: Path) -> list[Entry]:
    """Remove what `find_caches` finds, and what is left of others there; return the caches.

    Raises:
        ConfigError: as `find_caches`.
        TargetError: one cannot be removed.
    """
    found = find_caches(path)
    for entry in found:
        try:
            entry.remove()
        except OSError as error:
            raise TargetError(entry.path, found=error.strerror or str(error)) from None
    for place in (_beside(path), path):
        if place.is_dir():
            _sweep(place)
    # Nobody made that one but us. It stays if other things are in it.
    with contextlib.suppress(OSError):
        _beside(path).rmdir()
    return found


def _list_caches(place: Path) -> list[Entry]:
    """Return the caches in a directory, the one that was used last first.

    Raises:
        TargetError: it cannot be read.
    """
    try:
        return sorted(_entries(place), key=lambda entry: -entry.used_s)
    except OSError as error:
        raise TargetError(place, found=error.strerror or str(error)) from None


def _entries(place: Path) -> Iterator[Entry]:
    for path in place.iterdir() if is_there(place) else ():
        file = path / CONTENTS_NAME
        # One that is damaged, or was removed just now, is none.
        with contextlib.suppress(OSError, ContractError):
            if _NAME.fullmatch(path.name) and not path.is_symlink():
                contents = read_contents(path)
                names = (CONTENTS_NAME, *contents.arrays)
                size = sum((path / name).stat().st_size for name in names)
                yield Entry(path=path, contents=contents, bytes=size, used_s=file.stat().st_mtime)


def make_room(
    place: Path, name: str, *, dataset: Path, side: Side, needed_bytes: int, most_bytes: int | None
) -> None:
    """See to it that a new cache fits into a directory.

    Removes caches of an earlier state of the same dataset, which nobody can use any more, and, if
    that does not do, those that were used longest ago.

    Args:
        place: the directory.
        name: of the new cache.
        dataset: resolved path of the dataset.
        side: of the dataset.
        needed_bytes: what the cache takes.
        most_bytes: what all caches of this directory may take together; None: what is free.

    Raises:
        TargetError: it does not fit.
        OSError: the directory cannot be made or read.
    """
    if place == _beside(dataset):  # it came with the dataset; any other was given by the user
        refuse_link(place)
    place.mkdir(parents=True, exist_ok=True)
    _sweep(place)
    kept = []
    for entry in _list_caches(place):
        of_dataset = (entry.contents.dataset, entry.contents.side) == (spell_path(dataset), side)
        if of_dataset and _origin(entry.path.name) != _origin(name):
            entry.remove()
        else:
            kept.append(entry)
    claimed_bytes, unwritten_bytes = _count_partials(place)
    held_bytes = sum(entry.bytes for entry in kept)
    room_bytes = held_bytes + shutil.disk_usage(place).free - FREE_BYTES - unwritten_bytes
    reason = f"{decimal(max(room_bytes, 0))} on this disk, with {decimal(FREE_BYTES)} left free"
    if most_bytes is not None and most_bytes - claimed_bytes < room_bytes:
        room_bytes, reason = (
            most_bytes - claimed_bytes,
            f"{decimal(most_bytes)}, as --cache-bytes says",
        )
        if claimed_bytes:
            reason += f", {decimal(claimed_bytes)} of it for what is being written"
    if needed_bytes > room_bytes:
        raise TargetError(place, expected=f"room for {decimal(needed_bytes)}", found=reason)
    while kept and held_bytes + needed_bytes > room_bytes:
        oldest = kept.pop()
        oldest.remove()
        held_bytes -= oldest.bytes


def _count_partials(place: Path) -> tuple[int, int]:
    """Return how large the caches that are being written will be, and how much they lack of it."""
    claimed_bytes = unwritten_bytes = 0
    for file in place.glob(f"*{PARTIAL_SUFFIX}/*.npy"):
        if not _NAME.fullmatch(file.parent.stem):
            continue
        with contextlib.suppress(OSError):  # its cache was completed just now
            found = file.stat()
            claimed_bytes += found.st_size
            unwritten_bytes += max(0, found.st_size - 512 * found.st_blocks)
    return claimed_bytes, unwritten_bytes


def _sweep(place: Path) -> None:
    """Remove what is no cache, since a run was killed or the disk damaged it.

    Who is still writing one holds a lock.
    """
    named = [path for path in place.iterdir() if _NAME.fullmatch(path.name)]
    # Looked for only now: one that was completed in between is among them.
    whole = {entry.path for entry in _entries(place)}
    for path in named:
        if path not in whole:
            shutil.rmtree(path, ignore_errors=True)
    for partial in place.glob(f"*{PARTIAL_SUFFIX}"):
        if not _NAME.fullmatch(partial.stem):
            continue
        with contextlib.suppress(OSError):
            handle = lock_partial(partial)
            try:
                partial.rmdir()
            finally:
                os.close(handle)


def _origin(name: str) -> str:
    return name.split("-")[1]
