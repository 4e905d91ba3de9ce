"""A cache that is damaged, cut off or removed: told, and the shards are read."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import textwrap
import threading
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from caching import caches, epoch_of, fill, open_sequence, same
from feeding import ROOT
from patience import PATIENCE_S

from trainer.caching.store import clear_caches


def _flip(path: Path) -> None:
    data = bytearray((path / "x.npy").read_bytes())
    data[-3] ^= 1
    (path / "x.npy").write_bytes(data)


def _truncate(path: Path) -> None:
    os.truncate(path / "x.npy", 300)


def _empty(path: Path) -> None:
    os.truncate(path / "y.npy", 0)


def _lose(path: Path) -> None:
    (path / "y.npy").unlink()


def _reshape(path: Path) -> None:
    np.save(path / "x.npy", np.zeros((115, 1), np.float64))


def _scribble(path: Path) -> None:
    (path / "cache.json").write_text('{"format": 1}')


@pytest.mark.parametrize("damage", [_flip, _truncate, _empty, _lose, _reshape, _scribble])
def test_a_damaged_cache_is_told_and_made_again(
    dataset: Path, damage: Callable[[Path], None]
) -> None:
    expected = open_sequence(dataset, cache="off")
    epochs = [epoch_of(expected) for _ in range(3)]
    cache = fill(dataset)
    damage(cache)
    said: list[str] = []
    sequence = open_sequence(dataset, said)
    assert all(same(epoch_of(sequence), epoch) for epoch in epochs)
    sequence.close()
    (line,) = said
    assert str(cache) in line
    assert line.endswith("the cache is removed, and the shards are read instead")
    again = open_sequence(dataset, said)
    assert same(epoch_of(again), epochs[0])
    assert caches(dataset) == [cache]
    assert said == [line]


@pytest.mark.parametrize("size", [0, 300])
def test_a_cache_that_is_cut_off_while_it_is_used_is_told(dataset: Path, size: int) -> None:
    expected = open_sequence(dataset, cache="off")
    epochs = [epoch_of(expected) for _ in range(2)]
    cache = fill(dataset)
    said: list[str] = []
    sequence = open_sequence(dataset, said)
    assert same(epoch_of(sequence), epochs[0])
    os.truncate(cache / "x.npy", size)
    assert same(epoch_of(sequence), epochs[1])
    (line,) = said
    assert f"x.npy: expected 588 bytes, as when it was opened, found {size}; the cache is" in line


def test_a_damaged_cache_that_cannot_be_removed_is_told_once(dataset: Path, tmp_path: Path) -> None:
    expected = open_sequence(dataset, cache="off")
    epochs = [epoch_of(expected) for _ in range(3)]
    cache = fill(dataset)
    _flip(cache)
    # What is behind a link is not removed.
    cache.rename(tmp_path / "elsewhere")
    cache.symlink_to(tmp_path / "elsewhere")
    said: list[str] = []
    sequence = open_sequence(dataset, said)
    assert all(same(epoch_of(sequence), epoch) for epoch in epochs)
    sequence.close()
    (line,) = said
    assert line.endswith("the cache cannot be removed, and the shards are read instead")
    assert caches(dataset) == [cache]


@pytest.mark.parametrize("damage", [_scribble, lambda path: (path / "cache.json").unlink()])
def test_what_is_left_of_a_cache_is_cleared_away(
    dataset: Path, damage: Callable[[Path], None]
) -> None:
    damaged = fill(dataset)
    damage(damaged)
    other = open_sequence(dataset, missing="zero", side="validate")
    epoch_of(other)
    other.close()
    assert [path.name[:9] for path in caches(dataset)] == ["validate-"]

    damage(caches(dataset)[0])
    assert clear_caches(dataset) == []
    assert caches(dataset) == []


KILLED = """
    import os, signal, sys
    from trainer.sequence import CSVSequence

    sequence = CSVSequence(sys.argv[1], "clear", workers=0, shuffle_window=1)
    for index in range(5):
        sequence[index]
    os.kill(os.getpid(), int(sys.argv[2]))
"""


@pytest.mark.parametrize("kill", [signal.SIGKILL, signal.SIGINT])
def test_a_run_that_was_killed_leaves_no_cache_and_its_debris_goes(
    dataset: Path, kill: signal.Signals
) -> None:
    done = subprocess.run(
        [sys.executable, "-c", textwrap.dedent(KILLED), str(dataset), str(int(kill))],
        cwd=ROOT,
        capture_output=True,
        timeout=PATIENCE_S,
        check=False,
    )
    assert done.returncode == -kill
    # Only who could not help it has left something.
    assert [path.suffix for path in caches(dataset)] == [".partial"] * (kill is signal.SIGKILL)
    fill(dataset, drop=[], missing="zero")
    assert [path.suffix for path in caches(dataset)] == [""]


def test_ctrl_c_while_a_cache_is_completed_leaves_nothing(
    dataset: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def interrupted(_: threading.Thread) -> None:
        raise KeyboardInterrupt

    over = threading.Event()
    sequence = open_sequence(dataset)
    with monkeypatch.context() as patch:
        patch.setattr(os, "fsync", lambda _: over.wait())  # a disk that takes its time
        patch.setattr(threading.Thread, "join", interrupted)
        epoch_of(sequence)
        with pytest.raises(KeyboardInterrupt):
            sequence.close()
        left = caches(dataset)
        over.set()
    assert left == []


def test_a_cache_in_use_can_be_removed(dataset: Path) -> None:
    fill(dataset)
    expected = open_sequence(dataset, cache="off")
    epochs = [epoch_of(expected) for _ in range(2)]
    said: list[str] = []
    sequence = open_sequence(dataset, said)
    assert same(epoch_of(sequence), epochs[0])
    for path in caches(dataset)[0].iterdir():
        path.unlink()
    assert same(epoch_of(sequence), epochs[1])
    assert sequence.is_cached
    assert said == []
