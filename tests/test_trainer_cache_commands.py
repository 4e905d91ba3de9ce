"""`trainer cache`: what caches there are, and away with them."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import pytest
from caching import epoch_of, open_sequence
from support import write_dataset
from training import failure, trainer

COLUMNS = range(10)


@pytest.fixture
def home(tmp_path: Path) -> Path:
    """A directory with a dataset of ten features."""
    header = (*(f"n{column}" for column in COLUMNS), "clear")
    rows = [(*(f"{n + column}.5" for column in COLUMNS), str(n % 2)) for n in range(3500)]
    write_dataset(tmp_path / "data/log", header, rows[:3000], validate=rows[3000:])
    return tmp_path


def cache_sides(home: Path, **options: Any) -> None:
    """Read an epoch of both sides, so that their caches are complete."""
    for side in ("train", "validate"):
        sequence = open_sequence(home / "data/log", side=side, **options)
        epoch_of(sequence)
        sequence.close()


def test_the_caches_of_a_dataset_are_listed_and_removed(home: Path) -> None:
    cache_sides(home)
    train, validate = sorted(trainer("cache", "ls", "data/log", cwd=home).stdout.splitlines())
    assert re.match(r"train +3,000 records +10 features +13\d\.\d kB  used 20", train)
    assert re.match(r"validate +500 records +10 features +22\.\d kB  used 20", validate)
    assert str(home / "data/.log.cache") in train
    assert train in trainer("cache", "ls", ".", cwd=home / "data/log").stdout
    done = trainer("cache", "clear", "data/log", cwd=home)
    assert done.stdout == ""
    assert re.fullmatch(r"removed 2, 15\d\.\d kB\n", done.stderr)
    assert sorted(path.name for path in (home / "data").iterdir()) == ["log", "log_validate"]


def test_clearing_a_directory_removes_caches_and_nothing_else(home: Path) -> None:
    place = home / "place"
    (place / "log.partial").mkdir(parents=True)
    (place / "log.partial" / "thesis.txt").write_text("precious")
    cache_sides(home, cache=place)
    assert len(list(place.iterdir())) == 3
    trainer("cache", "clear", "place", cwd=home)
    assert [path.name for path in place.iterdir()] == ["log.partial"]
    assert (place / "log.partial" / "thesis.txt").exists()

    (place / ".log.cache").write_text("no directory")
    message = failure("cache", "clear", "place/log", cwd=home)
    assert message == f"trainer: error: {place}/.log.cache: found Not a directory"
    message = failure("cache", "ls", "nowhere", cwd=home)
    assert "nowhere: expected a dataset, or a directory of caches, found no such" in message
