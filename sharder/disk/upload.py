"""A dataset that is written to a store, where nothing can be hidden, renamed or added to.

Shards go to their place at once: until there is a manifest, the last object, they are no dataset. A
mark beside them, where a directory would have its hidden one, says which run has begun. What grows
piece by piece, and what the run goes on from after a kill, is in a directory of this machine: so
the same command goes on here, and is told elsewhere who has begun.
"""

from __future__ import annotations

import contextlib
import hashlib
import os
import socket
import time
import uuid
from contextlib import AbstractContextManager
from pathlib import Path

import msgspec

from sharder.disk.receipt import Receipt, load_receipt
from sharder.disk.staging import Staging
from shared.durable import write_whole
from shared.errors import ContractError, TargetError
from shared.home import user_cache
from shared.layout import (
    MANIFEST_NAME,
    SPLITED_NAME,
    Side,
    is_part,
    shard_dir,
    shard_name,
    shard_number,
    side_root,
)
from shared.place import ObjectPath, put_all
from shared.reading import decode_json

_MARK_NAME = ".mark"
_MAX_MARK_BYTES = 4096


class _Mark(msgspec.Struct, frozen=True):
    """The run that is writing to a place in a store, and who a person would ask about it."""

    run: str
    host: str
    pid: int
    since: str


class Upload(Staging):
    """A directory of this machine for a run that writes to a store."""

    def __init__(self, partial: Path, target: ObjectPath) -> None:
        """Take a directory as it is; `target` is where the dataset shall be."""
        super().__init__(partial, partial / target.name)
        self.shards = self._place = target
        self._mark = _mark_of(target)
        self._own = partial / _MARK_NAME

    def take_over(self) -> None:
        """Make what another run has begun there this run's own, as its mark says from now on."""
        if mark := self._read_mark():
            write_whole(self._own, mark.run.encode())

    def check_free(self) -> None:
        """Refuse a place that is taken."""
        mark = self._read_mark()
        if (self._place / MANIFEST_NAME).exists():
            self.clear()
            raise _taken(self._place, "no dataset of this name yet", "one")
        if mark is None:
            super().clear()  # what it tells of is gone
        elif not self._is_ours():
            raise TargetError(
                self._place,
                expected="no other run with this target",
                found=f"process {mark.pid} of {mark.host}, which has begun {mark.since}",
                hint="wait for it; if it runs no longer, --restart removes what it has left",
            )

    def synced_early(self) -> AbstractContextManager[None]:
        """Do nothing: what is here is little, and goes to the store."""
        return contextlib.nullcontext()

    def begin(self) -> bool:
        """Empty the directory and the place; return whether anything was there."""
        found = super().begin()
        _check_empty(self._place)
        mark = _Mark(
            run=uuid.uuid4().hex,
            host=socket.gethostname(),
            pid=os.getpid(),
            since=time.strftime("%Y-%m-%d %H:%M:%S%z"),
        )
        write_whole(self._own, mark.run.encode())
        put_all({self._mark: [msgspec.json.encode(mark)]})
        return found

    def clear(self) -> None:
        """Empty the directory, and remove what this run has written, unless it is whole."""
        if self._is_ours():
            if not (self._place / MANIFEST_NAME).exists():
                for side in Side:
                    root = side_root(self._place, side)
                    root.remove(name for name in root.sizes() if _is_of_dataset(name))
            self._unmark()
        super().clear()

    def cut_shards(self, side: Side, count: int) -> dict[int, int] | None:
        """Remove all but the first shards of a side; return their sizes."""
        directory = shard_dir(self._place, side)
        sizes = directory.sizes()
        found = {n: size for name, size in sizes.items() if (n := shard_number(name)) is not None}
        directory.remove(shard_name(number) for number in found if number >= count)
        return found

    def find_receipt(self) -> Receipt | None:
        """Return the receipt of a run that has put its dataset in its place, but not ended."""
        return load_receipt(self.receipt, self._place)

    def publish(self) -> None:
        """Upload what is not there yet, the manifest last."""
        files = sorted(path for path in self.dataset.rglob("*") if path.is_file())
        for path in sorted(files, key=lambda path: path.name == MANIFEST_NAME):
            self.check_ours()
            (self._place / path.relative_to(self.dataset).as_posix()).put(path)
        if self._is_ours():
            self._unmark()

    def check_ours(self) -> None:
        """Refuse to go on behind another run, which was told that this one runs no longer."""
        if self._is_ours():
            return
        mark = self._read_mark()
        super().clear()
        raise TargetError(
            self._place,
            expected="to be written by this run alone",
            found="that another one, with --restart, has taken it over"
            + (f": process {mark.pid} of {mark.host}" if mark else ", and has ended"),
            hint=f"once it has ended, `sharder verify {self._place}` tells whether it is whole",
        )

    def _unmark(self) -> None:
        self._mark.parent.remove([self._mark.name])

    def _is_ours(self) -> bool:
        if not self._own.exists():
            return False
        mark = self._read_mark()
        return mark is not None and mark.run == self._own.read_text()

    def _read_mark(self) -> _Mark | None:
        try:
            data = self._mark.read(_MAX_MARK_BYTES)
        except FileNotFoundError:
            return None
        try:
            return decode_json(data, _Mark, self._mark, expected="which run has begun")
        except ContractError as error:
            error.add_note("remove it, if no run has begun here")
            raise


def working_directory(target: ObjectPath) -> Path:
    """Return the directory of this machine for what is written to a place in a store.

    Raises:
        TargetError: this user has no directory for it.
    """
    if (cache := user_cache()) is None:
        raise TargetError(
            target,
            expected="a home for what a killed run goes on from",
            found="none",
            hint="name a directory in XDG_CACHE_HOME",
        )
    key = hashlib.sha256(str(target).encode()).hexdigest()[:16]
    return cache / "uploads" / f"{target.name}-{key}"


def check_objects(target: ObjectPath) -> None:
    """Refuse a place in a store that is taken; what an unfinished run has left there is not told.

    Raises:
        OSError: it cannot be looked at.
        TargetError: it is taken.
    """
    if (target / MANIFEST_NAME).exists():
        raise _taken(target, "no dataset of this name yet", "one")
    if not _mark_of(target).exists():
        _check_empty(target)


def _check_empty(target: ObjectPath) -> None:
    for side in Side:
        root = side_root(target, side)
        if names := root.names():
            raise _taken(root, "nothing there", f"{names[0]}, which no unfinished run has left")


def _taken(place: ObjectPath, expected: str, found: str) -> TargetError:
    return TargetError(
        place, expected=expected, found=found, hint="give another --name or --out, or remove it"
    )


def _mark_of(target: ObjectPath) -> ObjectPath:
    return target.with_name(f".{target.name}.partial")


def _is_of_dataset(name: str) -> bool:
    """Tell whether a run may have written an object, by its name below a side."""
    first, _, rest = name.partition("/")
    return is_part(first) and (first != SPLITED_NAME or shard_number(rest) is not None)
