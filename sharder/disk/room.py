"""What is free on the disk of a dataset, and whether that is enough."""

from __future__ import annotations

import os
from dataclasses import dataclass
from pathlib import Path

from rich.filesize import decimal

from sharder.disk.target import errors_named
from shared.errors import TargetError

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


def check_room(out: Path, *, bytes_: int, files: int) -> None:
    """Refuse a dataset that the disk cannot hold, before anything is written.

    Raises:
        TargetError: too few bytes or inodes are free.
    """
    room = find_room(out)
    needed = room.needed(bytes_, files)
    if room.bytes < needed:
        raise TargetError(
            room.place,
            expected=f"{decimal(needed)} free for the shards",
            found=decimal(room.bytes),
            hint="free some room, or give another --out",
        )
    if room.files is not None and room.files < files:
        raise TargetError(
            room.place,
            expected=f"{files:,} free inodes, one a shard",
            found=f"{room.files:,}",
            hint="raise --rows-per-shard, or give another --out",
        )
