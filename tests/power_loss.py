"""Helpers of the tests of power losses: a run that is killed, and then loses what was not synced.

A worst case, as POSIX allows it. Of a file, what was written since it was last synced is lost. New
files and removals have come to the disk; renames too, or only those whose directory was synced.
"""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from collections.abc import Iterator, Sequence
from pathlib import Path

import pytest
from faults import preloaded
from patience import PATIENCE_S

SHIM = Path(__file__).with_suffix(".c")


class PowerLoss:
    """Runs programs in a directory, and takes the power away from them."""

    def __init__(self, root: Path, scratch: Path) -> None:
        """Make the library that is preloaded; skip the test where that cannot be."""
        compiler = shutil.which("cc")
        if compiler is None or sys.platform != "linux":
            pytest.skip("there is no C compiler to make a disk with that loses what is not synced")
        self._root = root
        self._library = scratch / "power_loss.so"
        self._log = scratch / "log"
        self._kept = scratch / "kept"
        subprocess.run(
            [compiler, "-shared", "-fPIC", "-o", self._library, SHIM, "-ldl"], check=True
        )

    def run(
        self, command: Sequence[object], *, at: int, keeps_names: bool
    ) -> subprocess.CompletedProcess[str]:
        """Run a program until its sync or rename number `at`; then what it has not synced is lost.

        Args:
            command: the program and its arguments.
            at: number of the call, from 1. If there are not as many, the program ends, and the
                power is lost then.
            keeps_names: whether renames whose directory was not synced are on the disk.
        """
        shutil.rmtree(self._kept, ignore_errors=True)
        self._kept.mkdir()
        self._log.write_bytes(b"")
        before = dict(self._states())
        done = subprocess.run(
            list(map(str, command)),
            cwd=self._root,
            capture_output=True,
            text=True,
            timeout=PATIENCE_S,
            env=os.environ
            | preloaded(self._library)
            | {
                "POWER_ROOT": str(self._root),
                "POWER_LOG": str(self._log),
                "POWER_KEPT": str(self._kept),
                "POWER_LOST": str(at),
            },
        )
        self._lose(before, keeps_names=keeps_names)
        return done

    def _states(self) -> Iterator[tuple[int, tuple[int, int]]]:
        """Return size and time of the last change of each file, by its inode."""
        for path in self._root.rglob("*"):
            if path.is_file() and not path.is_symlink():
                found = path.stat()
                yield found.st_ino, (found.st_size, found.st_mtime_ns)

    def _lose(self, synced: dict[int, tuple[int, int]], *, keeps_names: bool) -> None:
        renames: list[tuple[Path, Path, int, str]] = []
        for line in self._log.read_text().splitlines():
            if line.startswith("synced "):
                inode, size, time = map(int, line.split()[1:])
                synced[inode] = (size, time)
                renames = [names for names in renames if names[2] != inode]
            else:
                old, new, parent, kept = line.split("\t")[1:]
                renames.append((Path(old), Path(new), int(parent), kept))
        if not keeps_names:
            for source, target, _, kept in reversed(renames):
                if target.exists() and not source.exists() and source.parent.exists():
                    target.rename(source)
                    if kept:
                        Path(kept).rename(target)
        for path in list(self._root.rglob("*")):
            if path.is_file() and not path.is_symlink():
                found = path.stat()
                size, time = synced.get(found.st_ino, (0, 0))
                if (found.st_size, found.st_mtime_ns) != (size, time):
                    os.truncate(path, min(size, found.st_size))
