"""Helpers of the tests of faults: disks that are full, or cannot be read."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path

import pytest

SHIM = Path(__file__).with_name("failing_disk.c")


@contextmanager
def small_disk(place: Path, size: str) -> Iterator[Path]:
    """Give a directory that is a disk of its own, in memory; skip the test without one."""
    place.mkdir()
    if os.geteuid():
        pytest.skip("only root may mount a disk")
    mount = ["mount", "-t", "tmpfs", "-o", f"size={size}", "tmpfs", str(place)]
    if (done := subprocess.run(mount, capture_output=True, text=True)).returncode:
        pytest.skip(f"no disk can be mounted here: {done.stderr.strip()}")
    try:
        yield place
    finally:
        subprocess.run(["umount", "--lazy", str(place)], check=True)


def leave_free(disk: Path, free_bytes: int) -> None:
    """Fill a disk with one file, so that no more than so many bytes are free."""
    ballast = disk / "ballast"
    ballast.unlink(missing_ok=True)
    found = os.statvfs(disk)
    size = found.f_bavail * found.f_frsize - free_bytes
    if size > 0:
        with ballast.open("wb") as file:
            os.posix_fallocate(file.fileno(), 0, size)


def failing_disk(directory: Path, file: Path, *, byte: int) -> Mapping[str, str]:
    """Return an environment where a byte of a file cannot be read, as on a bad disk."""
    compiler = shutil.which("cc")
    if compiler is None or sys.platform != "linux":
        pytest.skip("there is no C compiler to make a failing disk with")
    library = directory / "failing_disk.so"
    subprocess.run([compiler, "-shared", "-fPIC", "-o", library, SHIM, "-ldl"], check=True)
    failing = {"FAILING_FILE": str(file), "FAILING_BYTE": str(byte)}
    return os.environ | preloaded(library) | failing


def preloaded(library: Path) -> dict[str, str]:
    """Return what makes programs load a library before all others."""
    # A path in LD_PRELOAD ends at a blank.
    others = os.environ.get("LD_LIBRARY_PATH", "")
    return {
        "LD_PRELOAD": library.name,
        "LD_LIBRARY_PATH": f"{library.parent}{os.pathsep}{others}".rstrip(os.pathsep),
    }
