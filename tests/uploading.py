"""Helpers of the tests of datasets in a store: a source, and what a directory gets of it."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest
from killing import write_log
from splitting import sharder

# So many blocks that there is a checkpoint, as in `killing`; of others there is none in between,
# however long they take.
SMALL_BLOCKS = ("--block-bytes", "400", "--rows-per-shard", "200", "--checkpoint-every", "256")
BLOCKS = ("--block-bytes", "20000", *SMALL_BLOCKS[2:])


def split_on_disk(home: Path) -> Path:
    """Write a source and its dataset; return the directory."""
    write_log(home)
    sharder("split", "drop.csv", "--out", "data", *SMALL_BLOCKS, cwd=home)
    return home


def take_source(on_disk: Path, home: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Copy the source to a directory that has a cache of its own; return the directory."""
    monkeypatch.setenv("XDG_CACHE_HOME", str(home / "cache"))
    shutil.copy2(on_disk / "drop.csv", home)
    return home
