"""The place a dataset is written to: hidden until it is whole, and only one run at a time.

A run writes everything into `OUT/.NAME.partial/`, in the final layout, and moves it to its place
when it is complete: first the validation side, last the dataset with its manifest. So nothing
unfinished ever has a final name, and a dataset that is there is whole. What a killed run has left
there is gone on with (`sharder.run.checkpoint`), or removed.
"""

from __future__ import annotations

import contextlib
import errno
import os
import shutil
from collections.abc import Callable, Iterator
from pathlib import Path

from sharder.disk.receipt import Receipt
from sharder.disk.staging import RECEIPT_NAME, Staging, check_sides
from sharder.disk.upload import Upload, check_objects, working_directory
from shared.durable import refuse_link
from shared.errors import TargetError, remedy
from shared.lock import hold
from shared.place import ObjectPath, Place

_REPAIR_NAME = ".repair"


@contextlib.contextmanager
def staging(
    dataset: Place, *, overwrite: bool, append: bool = False, restart: bool = False
) -> Iterator[Staging]:
    """Give a hidden directory to write a dataset to; put it in its place when all went well.

    Args:
        dataset: where the dataset shall be in the end.
        overwrite: whether one that is there is replaced.
        append: whether to add to one that is there.
        restart: whether what another run has begun in a store is removed.

    Yields:
        The directory, with what an earlier run has left there.

    Raises:
        TargetError: the dataset is there already, another run is writing it, or it cannot be
            written. Where something is kept for the next run, a note of the error says so.
    """
    with _held(dataset) as staged:
        if restart:
            staged.take_over()
        if append:
            staged.shrink()
        elif overwrite:
            staged.check_replaceable()
        else:
            staged.check_free()
        staged.receipt.unlink(missing_ok=True)  # of another run, or `settle` had found it
        try:
            yield staged
            if append:
                staged.grow()
            else:
                staged.publish()
            # The new dataset is in its place: an old one that cannot be deleted is no failure.
            with contextlib.suppress(OSError):
                staged.clear()
        except BaseException as error:
            staged.restore()
            if append:
                staged.shrink()
            _note_what_is_left(staged, error)
            raise
        staged.receipt.unlink(missing_ok=True)


def _note_what_is_left(staged: Staging, error: BaseException) -> None:
    """Say what the same command will find behind an error; clear up if that is nothing."""
    try:
        if staged.find_receipt():
            error.add_note("all was done by then: the same command will say so")
            return
    except OSError:  # a store that has not answered
        error.add_note("perhaps all was done by then: the same command finds out")
        return
    if staged.keeps(error):
        error.add_note("what is done is kept: the same command goes on from there")
    else:
        try:
            staged.clear()
        except OSError as failure:
            error.add_note(f"what it has written could not be removed: {failure}")
    staged.receipt.unlink(missing_ok=True)


def settle(dataset: Place, is_same: Callable[[Receipt], bool]) -> bool:
    """Clear up behind a run that was cut off when its dataset was in place; its receipt goes.

    Args:
        dataset: that it has made, or added to.
        is_same: tells by its receipt whether it was the same.

    Returns:
        Whether there was one, and it was the same.

    Raises:
        TargetError: another run is writing the dataset, or there is a link in the way.
    """
    if not (hidden_dir(dataset) / RECEIPT_NAME).exists():
        return False
    with _held(dataset) as staged:
        if not (receipt := staged.find_receipt()):
            return False
        if is_done := is_same(receipt):
            staged.clear()
        staged.receipt.unlink()
        return is_done


@contextlib.contextmanager
def workshop(dataset: Path) -> Iterator[Staging]:
    """Give an empty hidden directory, to write parts of a dataset anew; nothing is left of it.

    Raises:
        TargetError: another run is writing the dataset, or it cannot be written.
    """
    with _held(dataset) as held:
        held.shrink()
        bench = hidden_dir(dataset) / _REPAIR_NAME
        try:
            bench.mkdir(exist_ok=True)
            staged = Staging(bench, dataset)
            staged.begin()
            yield staged
        finally:
            shutil.rmtree(bench, ignore_errors=True)


@contextlib.contextmanager
def _held(dataset: Place) -> Iterator[Staging]:
    """Hold the hidden directory of a dataset, in which nothing leads elsewhere."""
    partial = hidden_dir(dataset)
    refuse_link(partial)
    # The lock removes the directory where nothing is left in it.
    with errors_named(partial), hold(partial):
        staged = (
            Upload(partial, dataset)
            if isinstance(dataset, ObjectPath)
            else Staging(partial, dataset)
        )
        staged.refuse_links()
        staged.restore()
        yield staged


def hidden_dir(dataset: Place) -> Path:
    """Return the directory of this machine in which a dataset is made."""
    if isinstance(dataset, ObjectPath):
        return working_directory(dataset)
    return dataset.with_name(f".{dataset.name}.partial")


def check_target(dataset: Place, *, overwrite: bool) -> None:
    """Refuse a place that a dataset cannot be written to, without touching it.

    Raises:
        TargetError: as `staging` says; but that another run is writing it is not seen.
    """
    with errors_named(hidden_dir(dataset)):
        if isinstance(dataset, ObjectPath):
            check_objects(dataset)
            return
        place = next(parent for parent in dataset.absolute().parents if os.path.lexists(parent))
    found = 0
    if not place.is_dir():
        found = errno.ENOTDIR
    elif not os.access(place, os.W_OK | os.X_OK):
        found = errno.EACCES
    if found:
        raise TargetError(hidden_dir(dataset), found=os.strerror(found))
    check_sides(dataset, overwrite=overwrite)


@contextlib.contextmanager
def errors_named(where: Path) -> Iterator[None]:
    """Turn what the file system refuses into the error that names the place."""
    try:
        yield
    except OSError as error:
        place = error.filename if isinstance(error.filename, str) else str(where)
        raise TargetError(
            place,
            expected="to write here",
            found=error.strerror or str(error),
            hint=remedy(error),
        ) from error
