"""A cache gives the same batches as the shards, or none."""

from __future__ import annotations

import os
import shutil
from pathlib import Path
from types import ModuleType
from typing import Any

import numpy as np
import pytest
from caching import caches, epoch_of, fill, open_sequence, same
from feeding import write_numbered
from support import write_dataset

import shared.values
import trainer.features.encode
import trainer.features.read
from shared.layout import Side, list_shards


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


def test_a_closed_sequence_begins_no_cache(dataset: Path) -> None:
    expected = epoch_of(open_sequence(dataset, cache="off"))
    sequence = open_sequence(dataset, shuffle_window=64)
    sequence.close()
    assert same(epoch_of(sequence), expected)
    assert caches(dataset) == []
