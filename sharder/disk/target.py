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

from sharder.disk.growth import grow, shrink
from sharder.disk.receipt import Receipt, load_receipt
from shared.durable import refuse_link, sync_file_system, sync_names
from shared.errors import ShardfitError, TargetError, UnreadableError, WorkerError, remedy
from shared.layout import (
    REJECTED_NAME,
    Side,
    is_part,
    shard_dir,
    side_root,
)
from shared.lock import LOCK_NAME, hold

# Beside the dataset, whose name never begins with a dot.
_RETIRED_NAME = ".retired"
_CHECKPOINT_NAME = ".checkpoint"
_RECEIPT_NAME = ".receipt"
_BUCKETS_NAME = ".buckets"
_REPAIR_NAME = ".repair"


class Staging:
    """A hidden directory to write a dataset to.

    Attributes:
        dataset: the path to write the dataset to; its sides are beside it, as in the final layout.
        checkpoint: the path of the file that tells how far a run has come. With it, what is there
            is kept after a failure that may not happen again.
        buckets: the path of the directory for what is shuffled.
        receipt: the path of the file that tells of a run which is done (`sharder.disk.receipt`).
    """

    def __init__(self, partial: Path, target: Path) -> None:
        """Take a directory as it is; `target` is where the dataset shall be in the end."""
        self._partial, self._target = partial, target
        self.dataset = partial / target.name
        self.checkpoint = partial / _CHECKPOINT_NAME
        self.buckets = partial / _BUCKETS_NAME
        self.receipt = partial / _RECEIPT_NAME

    def begin(self) -> bool:
        """Empty the directory, and lay out a new dataset; return whether anything was there."""
        found = any(self._entries())
        self.clear()
        for side in Side:
            shard_dir(self.dataset, side).mkdir(parents=True)
        return found

    def clear(self) -> None:
        """Empty the directory, but for a receipt.

        The checkpoint goes first: without it, all else is debris.
        """
        self.checkpoint.unlink(missing_ok=True)
        for entry in self._entries():
            if entry.is_dir() and not entry.is_symlink():
                shutil.rmtree(entry)
            else:
                entry.unlink()

    def refuse_links(self) -> None:
        """Refuse what no run has made: through a link, files elsewhere would be written or removed.

        Raises:
            TargetError: there is a link.
        """
        for path in (*self._entries(), self.receipt):
            refuse_link(path)
            if path.name != _RETIRED_NAME and path.is_dir():  # an old dataset may be a link
                for inner in (*path.iterdir(), *(path / REJECTED_NAME).glob("*")):
                    refuse_link(inner)

    def _entries(self) -> list[Path]:
        others = (LOCK_NAME, _RECEIPT_NAME)
        return [entry for entry in self._partial.iterdir() if entry.name not in others]

    def restore(self) -> None:
        """Undo what a killed run had only half published, or clear up behind it."""
        retired = self._partial / _RETIRED_NAME
        # The new dataset leaves last: while it is still here, the old one is what counts.
        if not self.dataset.exists():
            self.clear()
        if not retired.exists():
            return
        for side in Side:
            new, place = side_root(self.dataset, side), side_root(self._target, side)
            if not new.exists() and place.exists():
                place.replace(new)
        for side in Side:
            place = side_root(self._target, side)
            if os.path.lexists(retired / place.name):
                (retired / place.name).replace(place)
        retired.rmdir()

    def find_receipt(self) -> Receipt | None:
        """Return the receipt of a run that has put its dataset in its place, but not ended."""
        return load_receipt(self.receipt, self._target)

    def keeps(self, error: BaseException) -> bool:
        """Tell whether what is there is worth keeping after an error."""
        is_final = isinstance(error, ShardfitError) and not isinstance(
            error, TargetError | UnreadableError | WorkerError
        )
        return not is_final and self.checkpoint.exists()

    def grow(self) -> None:
        """Move what was written to the dataset that it is appended to."""
        sync_file_system(self._partial)
        grow(self.dataset, self._target)

    def shrink(self) -> bool:
        """Take back what was moved to the dataset when an append was cut off; tell whether any."""
        return shrink(self.dataset, self._target)

    def publish(self) -> None:
        """Move a complete dataset to its place, and what was there out of the way first."""
        # What has its final name shall be whole after a power failure, too.
        sync_file_system(self._partial)
        retired = self._partial / _RETIRED_NAME
        retired.mkdir()
        # The dataset's own directory goes first and comes last: it has the manifest.
        for side in Side:
            old = side_root(self._target, side)
            if old.exists():
                old.replace(retired / old.name)
        for side in reversed(Side):
            if any(shard_dir(self.dataset, side).iterdir()):
                side_root(self.dataset, side).replace(side_root(self._target, side))
        sync_names(self._target.parent)


@contextlib.contextmanager
def staging(dataset: Path, *, overwrite: bool, append: bool = False) -> Iterator[Staging]:
    """Give a hidden directory to write a dataset to; put it in its place when all went well.

    Args:
        dataset: where the dataset shall be in the end.
        overwrite: whether one that is there is replaced.
        append: whether to add to one that is there.

    Yields:
        The directory, with what an earlier run has left there.

    Raises:
        TargetError: the dataset is there already, another run is writing it, or it cannot be
            written. Where something is kept for the next run, a note of the error says so.
    """
    missing = [parent for parent in dataset.parents if not parent.exists()]
    try:
        with _held(dataset) as staged:
            if append:
                staged.shrink()
            else:
                _check_sides(dataset, overwrite=overwrite)
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
                if staged.find_receipt():
                    error.add_note("all was done by then: the same command will say so")
                    raise
                if staged.keeps(error):
                    error.add_note("what is done is kept: the same command goes on from there")
                else:
                    staged.clear()
                staged.receipt.unlink(missing_ok=True)
                raise
            staged.receipt.unlink(missing_ok=True)
    finally:
        for made in missing:
            with contextlib.suppress(OSError):  # it is not empty, or not there
                made.rmdir()


def settle(dataset: Path, is_same: Callable[[Receipt], bool]) -> bool:
    """Clear up behind a run that was cut off when its dataset was in place, if it was the same run.

    Args:
        dataset: that it has made, or added to.
        is_same: tells by its receipt whether it was the same.

    Returns:
        Whether it was.

    Raises:
        TargetError: another run is writing the dataset, or there is a link in the way.
    """
    if not (hidden_dir(dataset) / _RECEIPT_NAME).exists():
        return False
    with _held(dataset) as staged:
        if not (receipt := staged.find_receipt()) or not is_same(receipt):
            return False
        staged.clear()
        staged.receipt.unlink()
        return True


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
def _held(dataset: Path) -> Iterator[Staging]:
    """Hold the hidden directory of a dataset, in which nothing leads elsewhere."""
    partial = hidden_dir(dataset)
    refuse_link(partial)
    # The lock removes the directory where nothing is left in it.
    with errors_named(partial), hold(partial):
        staged = Staging(partial, dataset)
        staged.refuse_links()
        staged.restore()
        yield staged


def hidden_dir(dataset: Path) -> Path:
    """Return the directory in which a dataset is made."""
    return dataset.with_name(f".{dataset.name}.partial")


def check_target(dataset: Path, *, overwrite: bool) -> None:
    """Refuse a place that a dataset cannot be written to, without touching it.

    Raises:
        TargetError: as `staging` says; but that another run is writing it is not seen.
    """
    with errors_named(hidden_dir(dataset)):
        place = next(parent for parent in dataset.absolute().parents if os.path.lexists(parent))
    found = 0
    if not place.is_dir():
        found = errno.ENOTDIR
    elif not os.access(place, os.W_OK | os.X_OK):
        found = errno.EACCES
    if found:
        raise TargetError(hidden_dir(dataset), found=os.strerror(found))
    _check_sides(dataset, overwrite=overwrite)


def _check_sides(dataset: Path, *, overwrite: bool) -> None:
    for side in Side:
        _check_replaceable(side_root(dataset, side), overwrite=overwrite)


def _check_replaceable(root: Path, *, overwrite: bool) -> None:
    """Refuse a target that is taken; with `overwrite` only if it is no side of a dataset."""
    if not os.path.lexists(root):  # a link to nowhere is in the way, too
        return
    if not overwrite:
        raise TargetError(
            root,
            expected="no dataset of this name yet",
            found="one",
            hint="give another --name or --out, or --overwrite to replace it",
        )
    names = {entry.name for entry in root.iterdir()} if root.is_dir() else {root.name}
    if foreign := sorted(name for name in names if not is_part(name)):
        raise TargetError(
            root,
            expected="a dataset to replace",
            found=f"{foreign[0]}, which is no part of one",
            hint="give another --name or --out",
        )


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
