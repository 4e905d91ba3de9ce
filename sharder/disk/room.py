"""What is free on the disk of a dataset, and whether that is enough."""

from __future__ import annotations

import os
from dataclasses import dataclass
from pathlib import Path

from rich.filesize import decimal

from sharder.disk.target import errors_named
from shared.errors import TargetError
from shared.home import is_cached
from shared.place import ObjectPath, Place

# Room for as many blocks as this is left free while a run writes.
SPARE_BLOCKS = 4

# What a file takes on disk beyond its bytes: half a block on average, and its inode.
_FILE_OVERHEAD_BYTES = 2048 + 256


@dataclass(frozen=True)
class Room:
    """What is free on a disk.

    Attributes:
        place: a directory on it.
        bytes: that are free.
        files: number of inodes that are free; None if the file system makes them as it needs them.
    """

    place: Path
    bytes: int
    files: int | None

    def needed(self, bytes_: int, files: int) -> int:
        """Return how many bytes files of so many bytes in all take."""
        return bytes_ + files * _FILE_OVERHEAD_BYTES


def find_room(out: Path) -> Room:
    """Say what is free where a directory is, or would be made.

    Raises:
        TargetError: it cannot be looked at.
    """
    place = out.absolute()
    with errors_named(place):
        while not place.exists():
            place = place.parent
        free = os.statvfs(place)
    # Some file systems say that they have no inodes at all.
    return Room(place, free.f_bavail * free.f_frsize, free.f_favail if free.f_files else None)


def check_room(out: Place, *, bytes_: int, files: int) -> None:
    """Refuse files that the disk cannot hold, before anything is written.

    Args:
        out: where they will be.
        bytes_: their size in all.
        files: their number.

    Raises:
        TargetError: too few bytes or inodes are free.
    """
    if isinstance(out, ObjectPath):  # what room a store has, nobody knows
        return
    room = find_room(out)
    needed = room.needed(bytes_, files)
    if room.bytes < needed:
        kept = is_cached(out)
        raise TargetError(
            room.place,
            expected=f"{decimal(needed)} free for "
            + ("what a run into a store keeps here" if kept else "the shards"),
            found=decimal(room.bytes),
            hint="free some room, or "
            + ("name another directory in XDG_CACHE_HOME" if kept else "give another --out"),
        )
    if room.files is not None and room.files < files:
        raise TargetError(
            room.place,
            expected=f"{files:,} free inodes, one a shard",
            found=f"{room.files:,}",
            hint="raise --rows-per-shard, or give another --out",
        )
