"""What is done of a long output, on disk, so that the same command goes on there after a kill.

.predictions.csv.partial/
├── job.json                what it is made from
├── 000000065536.part       rows, up to that number of all: an Arrow file, whole or not there
└── tmp                     what has no name yet
"""

from __future__ import annotations

import contextlib
import mmap
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import BinaryIO

import msgspec
import pyarrow as pa

from shared.dialect import PLAIN, Dialect
from shared.durable import create, publish, write_whole
from shared.errors import ContractError
from shared.reading import decode_json, read_plain

_JOB_NAME = "job.json"
_SUFFIX = ".part"
_TEMPORARY_NAME = "tmp"
_MAX_JOB_BYTES = 16 << 20


class Job(msgspec.Struct, frozen=True, kw_only=True):
    """What an output is made from: the same gives the same bytes.

    Attributes:
        source: size in bytes, and time of the last change in nanoseconds.
        model: checksum of the files of the run.
        columns: those of the source that are kept.
        versions: of the libraries that compute it.
        dialect: of the source.
    """

    source: tuple[int, int]
    model: str
    columns: tuple[str, ...]
    versions: dict[str, str]
    dialect: Dialect = PLAIN


_SPELLED = {
    "source": "the source has changed",
    "model": "the run is another one",
    "columns": "--keep names other columns",
    "versions": "other versions of the libraries are installed",
    "dialect": "the options tell of another dialect",
}


class Parts:
    """The rows that are done.

    Its methods raise OSError where the disk is full, or does not answer.

    Attributes:
        rows: how many they are.
    """

    def __init__(self, directory: Path, job: Job, say: Callable[[str], None]) -> None:
        """Look into a directory that is held by this process; parts of another job are removed.

        Args:
            directory: where the parts are, or are to be.
            job: what the output is made from.
            say: takes a line that tells why they are removed.
        """
        self._directory = directory
        self._temporary = directory / _TEMPORARY_NAME
        file = directory / _JOB_NAME
        before = None
        with contextlib.suppress(FileNotFoundError, ContractError):
            data = read_plain(file, at_most=_MAX_JOB_BYTES)
            before = decode_json(data, Job, file, expected="a job")
        if before != job:
            if before is not None and self._list():
                changes = [
                    text
                    for name, text in _SPELLED.items()
                    if getattr(before, name) != getattr(job, name)
                ]
                say(f"begins anew, since {' and '.join(changes)}")
            self.remove()
            write_whole(file, msgspec.json.encode(job))
        self.rows = max((int(path.stem) for path in self._list()), default=0)

    def add(self, table: pa.Table) -> None:
        """Keep the next rows."""
        rows = self.rows + len(table)
        # Files that Python has opened: Arrow opens none whose name is no UTF-8.
        with create(self._temporary) as file, pa.ipc.new_file(file, table.schema) as writer:
            writer.write_table(table)
        publish(self._temporary, self._directory / f"{rows:012}{_SUFFIX}")
        self.rows = rows

    def read(self) -> Iterator[pa.Table]:
        """Yield the rows, in the tables that were added."""
        for path in self._list():
            with path.open("rb") as file:
                mapped = mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ)
            yield pa.ipc.open_file(pa.py_buffer(mapped)).read_all()

    def publish(self, write: Callable[[BinaryIO], None], path: Path) -> None:
        """Give a file, once `write` has written it, its name; the parts are then removed."""
        with create(self._temporary) as file:
            write(file)
        publish(self._temporary, path)
        self.remove()

    def remove(self) -> None:
        """Leave nothing of them. What is made from nothing has nothing to go on with."""
        for path in (self._directory / _JOB_NAME, *self._list(), self._temporary):
            path.unlink(missing_ok=True)

    def _list(self) -> list[Path]:
        found = self._directory.glob(f"{'[0-9]' * 12}{_SUFFIX}")
        return sorted(found, key=lambda path: int(path.stem))
