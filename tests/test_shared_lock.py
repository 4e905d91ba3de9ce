"""A directory is held against other processes, and nothing is left of that."""

from __future__ import annotations

import resource
from pathlib import Path

from shared.lock import hold


def test_a_full_disk_leaves_no_lock_behind(tmp_path: Path) -> None:
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (0, hard))
    try:
        with hold(tmp_path / "run"):
            assert (tmp_path / "run" / ".lock").exists()
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))
    assert not (tmp_path / "run").exists()


def test_of_directories_that_were_made_for_it_the_empty_ones_go(tmp_path: Path) -> None:
    with hold(tmp_path / "new/runs/first"):
        (tmp_path / "new/kept").touch()
    assert [path.name for path in tmp_path.rglob("*")] == ["new", "kept"]
