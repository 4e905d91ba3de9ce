"""Where a cache goes, and how much room it may take there."""

from __future__ import annotations

import os
import resource
from pathlib import Path
from typing import Any

import pytest
from caching import caches, epoch_of, fill, open_sequence, same
from faults import leave_free, small_disk
from feeding import write_numbered

import trainer.caching.store
from trainer.caching.writer import CacheWriter


def test_a_cache_that_does_not_fit_is_not_written(dataset: Path) -> None:
    said: list[str] = []
    epoch_of(open_sequence(dataset, said, cache_bytes=919))
    (line,) = said
    assert "no cache of the train side" in line
    assert "expected room for 920 bytes, found 919 bytes, as --cache-bytes says" in line
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
    assert line.endswith("as --cache-bytes says, 1.2 kB of it for what is being written")
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


@pytest.mark.parametrize("written", [0, 1, 8])
def test_where_the_disk_gets_full_the_run_goes_on_from_the_shards(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, written: int
) -> None:
    dataset = write_numbered(tmp_path / "log", 4000, rows_per_shard=500)
    expected = open_sequence(dataset, cache="off", shuffle_window=1)
    epochs = [epoch_of(expected) for _ in range(2)]
    monkeypatch.setattr(trainer.caching.store, "FREE_BYTES", 0)
    said: list[str] = []
    with small_disk(tmp_path / "disk", "1m") as disk:
        complete = CacheWriter._complete

        def complete_without_room(writer: CacheWriter) -> None:
            leave_free(disk, 0)
            complete(writer)

        monkeypatch.setattr(CacheWriter, "_complete", complete_without_room)
        sequence = open_sequence(dataset, said, shuffle_window=1, cache=disk / "caches")
        batches = [sequence[index] for index in range(written)]
        if written < 8:
            leave_free(disk, 0)
        batches += [sequence[index] for index in range(written, 8)]
        sequence.on_epoch_end()
        assert same(batches, epochs[0])
        assert same(epoch_of(sequence), epochs[1])
        sequence.close()
        assert not list(disk.glob("caches/*"))
    (line,) = said
    assert line.startswith("no cache of the train side: ")
    assert line.endswith("No space left on device" if written else "with 0 bytes left free")


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
