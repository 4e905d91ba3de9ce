"""A cache gives the same batches as the shards, or none."""

from __future__ import annotations

import os
import resource
import shutil
import signal
import subprocess
import sys
import textwrap
import threading
from collections.abc import Callable
from pathlib import Path
from types import ModuleType
from typing import Any

import numpy as np
import pytest
from feeding import ROOT, write_numbered
from support import write_dataset

import shared.values
import trainer.features.encode
import trainer.features.read
from shared.layout import Side, list_shards
from trainer.caching.store import clear_caches
from trainer.sequence import Arrays, CSVSequence


@pytest.fixture(autouse=True)
def _user_place(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "home"))


@pytest.fixture
def dataset(tmp_path: Path) -> Path:
    """12 training shards, the last with 5 records, and 3 for validation."""
    return write_numbered(tmp_path / "log", 115, validate=25)


def open_sequence(dataset: Path, said: list[str] | None = None, **options: Any) -> CSVSequence:
    say = [].append if said is None else said.append
    return CSVSequence(dataset, **{"label": "clear", "workers": 0, "say": say, **options})


def epoch_of(sequence: CSVSequence) -> list[Arrays]:
    """Return all batches of an epoch, and go on to the next."""
    batches = [sequence[index] for index in range(len(sequence))]
    sequence.on_epoch_end()
    return batches


def same(some: list[Arrays], others: list[Arrays]) -> bool:
    """Return whether batches agree to the last bit."""
    return all(
        a.tobytes() == b.tobytes() and a.shape == b.shape
        for one, other in zip(some, others, strict=True)
        for a, b in zip(one, other, strict=True)
    )


def fill(dataset: Path, **options: Any) -> Path:
    """Read an epoch, so that the cache is complete; return its directory."""
    sequence = open_sequence(dataset, **options)
    epoch_of(sequence)
    sequence.close()
    (cache,) = caches(dataset)
    return cache


def caches(dataset: Path) -> list[Path]:
    place = dataset.with_name(f".{dataset.name}.cache")
    return sorted(place.iterdir()) if place.exists() else []


@pytest.mark.parametrize(
    "options",
    [
        {},
        {"batch_size": 7, "shuffle_window": 3, "seed": 4},
        {"batch_size": 64, "shuffle_window": 1},
        {"batch_size": 1000},
        {"shuffle": False},
        {"side": "validate", "batch_size": 4},
        {"class_weight": {"1": 3.0}, "workers": 2},
    ],
    ids=str,
)
def test_the_batches_are_the_same_from_the_shards_and_from_the_cache(
    dataset: Path, options: dict[str, Any]
) -> None:
    shards = open_sequence(dataset, cache="off", **options)
    expected = [epoch_of(shards) for _ in range(3)]
    shards.close()

    # The first epoch writes the cache; the second may have it from its beginning or not.
    first = open_sequence(dataset, **options)
    assert all(same(epoch_of(first), epoch) for epoch in expected)
    first.close()
    later = open_sequence(dataset, **options)
    assert all(same(epoch_of(later), epoch) for epoch in expected)
    # Where everything is in the cache, no worker starts.
    assert later.is_cached
    assert later.feed.pids == []
    assert len(caches(dataset)) == 1


def test_classes_are_cached_as_they_are_encoded(tmp_path: Path) -> None:
    rows = [(f"{n}.5", "abc"[n % 3]) for n in range(50)]
    dataset = write_dataset(tmp_path / "log", ("n", "clear"), rows, rows_per_shard=10)
    expected = epoch_of(open_sequence(dataset, cache="off", shuffle=False))
    cache = fill(dataset, shuffle=False)
    assert same(epoch_of(open_sequence(dataset, shuffle=False)), expected)
    # Any program can read it.
    y = np.load(cache / "y.npy")
    assert y.shape == (50, 3)
    assert y.argmax(axis=1).tolist() == [n % 3 for n in range(50)]


def test_a_cache_becomes_complete_in_the_middle_of_an_epoch(dataset: Path) -> None:
    expected = open_sequence(dataset, cache="off", shuffle_window=1)
    epochs = [epoch_of(expected) for _ in range(2)]
    sequence = open_sequence(dataset, shuffle_window=1)
    # As when a run goes on in the middle: the cache lacks what came before.
    found = [sequence[index] for index in range(4, 12)]
    assert same(found, epochs[0][4:])
    sequence.epoch = 1
    assert same(epoch_of(sequence), epochs[1])
    sequence.close()
    assert len(caches(dataset)) == 1


def test_other_weights_share_a_cache_and_other_features_do_not(tmp_path: Path) -> None:
    rows = [(f"{n}.5", f"{n % 7}", str(n % 2)) for n in range(40)]
    dataset = write_dataset(tmp_path / "log", ("n", "m", "clear"), rows, rows_per_shard=10)
    cache = fill(dataset)
    weighted = open_sequence(dataset, class_weight={"1": 3.0})
    for batch in epoch_of(weighted):
        assert batch[-1].tolist() == np.where(batch[1] == 1, 3.0, 1.0).tolist()
    assert caches(dataset) == [cache]
    for options in ({"drop": ["m"]}, {"missing": "zero"}, {"label": "m"}):
        expected = epoch_of(open_sequence(dataset, cache="off", **options))
        assert same(epoch_of(open_sequence(dataset, **options)), expected)
    assert cache in caches(dataset)


@pytest.mark.parametrize("module", [trainer.features.encode, trainer.features.read, shared.values])
def test_other_code_that_encodes_has_a_cache_of_its_own(
    dataset: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, module: ModuleType
) -> None:
    cache = fill(dataset)
    file = Path(str(module.__file__))
    package = shutil.copytree(file.parent, tmp_path / "package")
    changed = package / file.name
    changed.write_text(changed.read_text() + "\n# Another way.\n")
    with monkeypatch.context() as patch:
        if file.parent.name == "features":
            patch.setattr(trainer.features, "__path__", [str(package)])
        else:
            patch.setattr(module, "__file__", str(changed))
        assert not open_sequence(dataset).is_cached
    assert open_sequence(dataset).is_cached
    assert caches(dataset) == [cache]


def test_a_dataset_that_was_made_again_has_a_cache_of_its_own(tmp_path: Path) -> None:
    dataset = write_numbered(tmp_path / "log", 40)
    old = fill(dataset)
    for path in sorted(tmp_path.glob("log/**/*"), reverse=True):
        path.unlink() if path.is_file() else path.rmdir()
    dataset.rmdir()
    write_numbered(tmp_path / "log", 30)
    # Nobody can use the old one any more.
    assert fill(dataset) != old
    assert not old.exists()


def test_shards_without_a_manifest_are_known_by_their_sizes_and_times(dataset: Path) -> None:
    (dataset / "manifest.json").unlink()
    fill(dataset, shuffle=False)
    first = list_shards(dataset, Side.TRAIN)[0]
    first.write_bytes(first.read_bytes().replace(b"\n3.5,1", b"\n3.5,0"))
    os.utime(first, (1, 1))
    first_batch = epoch_of(open_sequence(dataset, shuffle=False))[0]
    assert first_batch[1].tolist() == [0, 1, 0, 0, 0, 1, 0, 1, 0, 1]


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


def test_what_another_run_has_left_off_is_taken_over(dataset: Path) -> None:
    expected = open_sequence(dataset, cache="off", shuffle_window=1)
    epochs = [epoch_of(expected) for _ in range(3)]
    said: list[str] = []
    first = open_sequence(dataset, shuffle_window=1)
    first[0]
    second = open_sequence(dataset, said, shuffle_window=1)
    assert same(epoch_of(second), epochs[0])
    assert len(said) == 1
    first.close()
    assert same(epoch_of(second), epochs[1])
    assert same(epoch_of(second), epochs[2])
    second.close()
    assert len(caches(dataset)) == 1
    assert len(said) == 1


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


def test_two_runs_at_once_write_one_cache(dataset: Path) -> None:
    expected = open_sequence(dataset, cache="off", shuffle_window=1)
    epochs = [epoch_of(expected) for _ in range(2)]
    said: list[str] = []
    first = open_sequence(dataset, shuffle_window=1)
    second = open_sequence(dataset, said, shuffle_window=1)
    found = [(first[index], second[index]) for index in range(12)]
    assert same([a for a, _ in found], epochs[0])
    assert same([b for _, b in found], epochs[0])
    place = dataset.with_name(".log.cache")
    assert said == [f"no cache of the train side: another run is writing it in {place}"]
    first.close()
    second.on_epoch_end()
    assert same(epoch_of(second), epochs[1])
    second.close()
    assert [path.suffix for path in caches(dataset)] == [""]


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
        timeout=60,
        check=False,
    )
    assert done.returncode == -kill
    # Only who could not help it has left something.
    assert [path.suffix for path in caches(dataset)] == [".partial"] * (kill is signal.SIGKILL)
    fill(dataset, drop=[], missing="zero")
    assert [path.suffix for path in caches(dataset)] == [""]


def test_a_closed_sequence_begins_no_cache(dataset: Path) -> None:
    expected = epoch_of(open_sequence(dataset, cache="off"))
    sequence = open_sequence(dataset, shuffle_window=64)
    sequence.close()
    assert same(epoch_of(sequence), expected)
    assert caches(dataset) == []


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


def test_a_cache_that_does_not_fit_is_not_written(dataset: Path) -> None:
    said: list[str] = []
    epoch_of(open_sequence(dataset, said, cache_bytes=919))
    (line,) = said
    assert "no cache of the train side" in line
    assert "expected room for 0.00 GB, found 0.00 GB, as --cache-bytes says" in line
    assert caches(dataset) == []
    sequence = open_sequence(dataset, said, cache_bytes=920)
    epoch_of(sequence)
    sequence.close()
    assert len(caches(dataset)) == 1


def test_the_cache_that_was_used_longest_ago_makes_room(dataset: Path) -> None:
    oldest = fill(dataset)
    os.utime(oldest / "cache.json", (1, 1))
    others: list[dict[str, Any]] = [{"side": "validate"}, {"missing": "zero"}]
    for options in others:
        sequence = open_sequence(dataset, cache_bytes=3000, **options)
        epoch_of(sequence)
        sequence.close()
    assert len(caches(dataset)) == 2
    assert not oldest.exists()


def test_the_sides_of_a_run_share_the_room(dataset: Path) -> None:
    said: list[str] = []
    place = dataset.with_name(".log.cache")
    both = {"shuffle_window": 1, "cache": place, "cache_bytes": 920 + 199}
    train = open_sequence(dataset, said, **both)
    train[0]
    validate = open_sequence(dataset, said, side="validate", **both)
    epoch_of(validate)
    epoch_of(train)
    validate.close()
    train.close()
    (line,) = said
    assert line.startswith("no cache of the validate side: ")
    assert line.endswith("as --cache-bytes says, 0.00 GB of it for what is being written")
    assert [path.name[:6] for path in caches(dataset)] == ["train-"]


def test_a_place_that_cannot_be_looked_at_is_told(dataset: Path) -> None:
    expected = epoch_of(open_sequence(dataset, cache="off"))
    said: list[str] = []
    assert same(epoch_of(open_sequence(dataset, said, cache="x" * 300)), expected)
    assert said == [f"no cache of the train side: {'x' * 300}: File name too long"]


def test_a_user_needs_no_home(dataset: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("XDG_CACHE_HOME")
    monkeypatch.setenv("HOME", "~")  # as it is found where the system does not know the user
    assert fill(dataset).name.startswith("train-")


def test_where_the_disk_is_full_the_run_goes_on_from_the_shards(dataset: Path) -> None:
    expected = epoch_of(open_sequence(dataset, cache="off"))
    said: list[str] = []
    sequence = open_sequence(dataset, said, shuffle_window=64)
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (100, hard))
    try:
        assert same(epoch_of(sequence), expected)
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))
    assert "File too large" in said[0]
    assert caches(dataset) == []


def test_where_nothing_can_be_written_beside_the_dataset_the_user_s_place_is_taken(
    dataset: Path, tmp_path: Path
) -> None:
    dataset.with_name(".log.cache").write_text("not a directory")
    expected = epoch_of(open_sequence(dataset, cache="off"))
    sequence = open_sequence(dataset)
    epoch_of(sequence)
    sequence.close()
    assert len(list((tmp_path / "home" / "shardfit").iterdir())) == 1
    later = open_sequence(dataset)
    assert later.is_cached
    assert same(epoch_of(later), expected)


def test_a_cache_in_use_can_be_removed(dataset: Path) -> None:
    fill(dataset)
    expected = open_sequence(dataset, cache="off")
    epochs = [epoch_of(expected) for _ in range(2)]
    sequence = open_sequence(dataset)
    assert same(epoch_of(sequence), epochs[0])
    for path in caches(dataset)[0].iterdir():
        path.unlink()
    assert same(epoch_of(sequence), epochs[1])
