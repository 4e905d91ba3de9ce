"""The place a dataset is written to: hidden until it is whole, and only one run at a time.

A run writes everything into `OUT/.NAME.partial/`, in the final layout, and moves it to its place
when it is complete: first the validation side, last the dataset with its manifest. So nothing
unfinished ever has a final name, and a dataset that is there is whole.
"""

from __future__ import annotations

import contextlib
import errno
import fcntl
import os
import shutil
from collections.abc import Iterator
from pathlib import Path

from shared.errors import TargetError
from shared.layout import (
    MANIFEST_NAME,
    REJECTED_NAME,
    SPLITED_NAME,
    Side,
    shard_dir,
    side_root,
)

_RETIRED_NAME = "retired"

# What a file takes on disk beyond its bytes: half a block on average, and its inode.
_FILE_OVERHEAD_BYTES = 2048 + 256


@contextlib.contextmanager
def staging(dataset: Path, *, overwrite: bool) -> Iterator[Path]:
    """Give a hidden directory to write a dataset to; put it in its place when all went well.

    Args:
        dataset: where the dataset shall be in the end.
        overwrite: whether one that is there is replaced.

    Yields:
        The path to write the dataset to; its sides are beside it, as in the final layout.

    Raises:
        TargetError: it is there already, another run is writing it, or it cannot be written.
    """
    partial = dataset.with_name(f".{dataset.name}.partial")
    with _errors_named(partial):
        for side in Side:
            _check_replaceable(side_root(dataset, side), overwrite=overwrite)
        missing = [parent for parent in partial.parents if not parent.exists()]
        partial.mkdir(parents=True, exist_ok=True)
        with _locked(partial):
            _clean(partial, dataset)  # what a killed run has left
            staged = partial / dataset.name
            try:
                for side in Side:
                    shard_dir(staged, side).mkdir(parents=True)
                yield staged
                _publish(staged, dataset)
            except BaseException:
                _clean(partial, dataset)
                for made in (partial, *missing):
                    # Another run may be using it by now.
                    with contextlib.suppress(OSError):
                        made.rmdir()
                raise
            # The new dataset is in its place: an old one that cannot be deleted is no failure.
            with contextlib.suppress(OSError):
                _clean(partial, dataset)
                partial.rmdir()


def _check_replaceable(root: Path, *, overwrite: bool) -> None:
    """Refuse a target that is taken; with `overwrite` only if it is no side of a dataset."""
    if not root.exists():
        return
    if not overwrite:
        raise TargetError(
            root,
            expected="no dataset of this name yet",
            found="one",
            hint="give another --name or --out, or --overwrite to replace it",
        )
    names = {entry.name for entry in root.iterdir()} if root.is_dir() else {root.name}
    if foreign := sorted(names - {MANIFEST_NAME, REJECTED_NAME, SPLITED_NAME}):
        raise TargetError(
            root,
            expected="a dataset to replace",
            found=f"{foreign[0]}, which is no part of one",
            hint="give another --name or --out",
        )


def check_room(out: Path, *, bytes_: int, files: int) -> None:
    """Refuse a dataset that the disk cannot hold, before anything is written.

    Raises:
        TargetError: too few bytes or inodes are free.
    """
    place = out.absolute()
    with _errors_named(place):
        while not place.exists():
            place = place.parent
        free = os.statvfs(place)
    free_bytes = free.f_bavail * free.f_frsize
    needed = bytes_ + files * _FILE_OVERHEAD_BYTES
    if free_bytes < needed:
        raise TargetError(
            place,
            expected=f"{needed / 1e9:,.2f} GB free for the shards",
            found=f"{free_bytes / 1e9:,.2f} GB",
            hint="free some room, or give another --out",
        )
    # Some file systems make inodes as they need them, and say that they have none.
    if free.f_files and free.f_favail < files:
        raise TargetError(
            place,
            expected=f"{files:,} free inodes, one a shard",
            found=f"{free.f_favail:,}",
            hint="raise --rows-per-shard, or give another --out",
        )


@contextlib.contextmanager
def _errors_named(where: Path) -> Iterator[None]:
    try:
        yield
    except OSError as error:
        place = error.filename if isinstance(error.filename, str) else str(where)
        hint = ""
        if error.errno in (errno.ENOSPC, errno.EDQUOT):
            hint = "free some room, then run the same command again"
        raise TargetError(
            place, expected="to write here", found=error.strerror or str(error), hint=hint
        ) from error


@contextlib.contextmanager
def _locked(directory: Path) -> Iterator[None]:
    """Hold a directory against other runs; the lock ends with the process, however it ends."""
    handle = os.open(directory, os.O_RDONLY)
    try:
        fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        os.close(handle)
        raise TargetError(
            directory,
            expected="no other run with this target",
            found="one that is writing",
            hint="wait for it, or give another --name or --out",
        ) from None
    try:
        yield
    finally:
        os.close(handle)


def _clean(partial: Path, dataset: Path) -> None:
    """Empty a staging directory; if a dataset was only half replaced, bring the old one back."""
    retired = partial / _RETIRED_NAME
    # The new dataset leaves last: while it is still here, the old one is what counts.
    if retired.exists() and (partial / dataset.name).exists():
        for old in retired.iterdir():
            place = dataset.with_name(old.name)
            if place.exists():
                shutil.rmtree(place)
            old.replace(place)
    for entry in partial.iterdir():
        shutil.rmtree(entry)


def _publish(staged: Path, dataset: Path) -> None:
    """Move a complete dataset to its place, and what was there out of the way first."""
    retired = staged.parent / _RETIRED_NAME
    retired.mkdir()
    # The dataset's own directory goes first and comes last: it has the manifest.
    for side in Side:
        if side_root(dataset, side).exists():
            side_root(dataset, side).replace(retired / side_root(dataset, side).name)
    for side in reversed(Side):
        if any(shard_dir(staged, side).iterdir()):
            side_root(staged, side).replace(side_root(dataset, side))
