"""A hidden directory beside the place of a dataset, which that is written to and moved out of."""

from __future__ import annotations

import os
import shutil
from contextlib import AbstractContextManager
from pathlib import Path

from sharder.disk.growth import grow, shrink
from sharder.disk.receipt import Receipt, load_receipt
from sharder.disk.writeback import synced_early
from shared.durable import refuse_link, sync_file_system, sync_names
from shared.errors import ShardfitError, TargetError, UnreadableError, WorkerError
from shared.layout import REJECTED_NAME, Side, is_part, shard_dir, shard_number, side_root
from shared.lock import LOCK_NAME
from shared.place import Place

# Beside the dataset, whose name never begins with a dot.
_RETIRED_NAME = ".retired"
_CHECKPOINT_NAME = ".checkpoint"
RECEIPT_NAME = ".receipt"
_BUCKETS_NAME = ".buckets"


class Staging:
    """A hidden directory to write a dataset to.

    Attributes:
        dataset: the path to write the dataset to; its sides are beside it, as in the final layout.
        checkpoint: the path of the file that tells how far a run has come. With it, what is there
            is kept after a failure that may not happen again.
        buckets: the path of the directory for what is shuffled.
        receipt: the path of the file that tells of a run which is done (`sharder.disk.receipt`).
        shards: where its shards go: the same path as `dataset`, or a store.
    """

    shards: Place

    def __init__(self, partial: Path, target: Path) -> None:
        """Take a directory as it is; `target` is where the dataset shall be in the end."""
        self._partial, self._target = partial, target
        self.shards = self.dataset = partial / target.name
        self.checkpoint = partial / _CHECKPOINT_NAME
        self.buckets = partial / _BUCKETS_NAME
        self.receipt = partial / RECEIPT_NAME

    def check_free(self) -> None:
        """Refuse a place that is taken.

        Raises:
            TargetError: it is.
        """
        check_sides(self._target, overwrite=False)

    def check_replaceable(self) -> None:
        """Refuse a place that is taken by what is no dataset.

        Raises:
            TargetError: it is.
        """
        check_sides(self._target, overwrite=True)

    def take_over(self) -> None:
        """Make what another run has begun there this run's own; none can while it is locked."""

    def check_ours(self) -> None:
        """Refuse to go on if another run has taken the place over; none can while it is locked.

        Raises:
            TargetError: one has.
        """

    def synced_early(self) -> AbstractContextManager[None]:
        """Bring what is written to the disk while the run goes on."""
        return synced_early(self._partial)

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
        others = (LOCK_NAME, RECEIPT_NAME)
        return [entry for entry in self._partial.iterdir() if entry.name not in others]

    def cut_shards(self, side: Side, count: int) -> dict[int, int] | None:
        """Remove all but the first shards of a side; return their sizes, or None without a place.

        Args:
            side: of the dataset.
            count: number of shards to keep.
        """
        if not (directory := shard_dir(self.dataset, side)).is_dir():
            return None
        found = {}
        with os.scandir(directory) as entries:
            for entry in entries:
                number = shard_number(entry.name)
                if number is None or number >= count:
                    Path(entry).unlink()
                elif entry.is_file(follow_symlinks=False):
                    found[number] = entry.stat().st_size
        return found

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
        """Return the receipt of a run that has put its dataset in its place, but not ended.

        Raises:
            OSError: whether that is there cannot be seen.
        """
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


def check_sides(dataset: Path, *, overwrite: bool) -> None:
    """Refuse a place that is taken, on any side.

    Raises:
        TargetError: it is; with `overwrite`, by what is no dataset.
    """
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
            hint="give another --name or --out, --overwrite to replace it, or it to `trainer fit`",
        )
    names = {entry.name for entry in root.iterdir()} if root.is_dir() else {root.name}
    if foreign := sorted(name for name in names if not is_part(name)):
        raise TargetError(
            root,
            expected="a dataset to replace",
            found=f"{foreign[0]}, which is no part of one",
            hint="give another --name or --out",
        )
