"""Helpers of the tests of the cache: sequences with and without one, and what they give."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from feeding import write_numbered

from trainer.sequence import Arrays, CSVSequence


def write_log(directory: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Write 12 training shards, the last with 5 records, and 3 for validation.

    The user's place for caches lies beside them, in `home`.
    """
    monkeypatch.setenv("XDG_CACHE_HOME", str(directory / "home"))
    return write_numbered(directory / "log", 115, validate=25)


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
