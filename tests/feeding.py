"""Helpers of the tests of the feed: small datasets, and a look at processes from outside."""

from __future__ import annotations

import subprocess
import time
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path

import numpy as np
from patience import PATIENCE_S
from support import write_dataset

from shared.layout import Side
from trainer.derive.rules import derive_features
from trainer.features.encode import Float32
from trainer.features.spec import FeatureSpec
from trainer.feeding.feed import Feed
from trainer.shards.dataset import open_dataset
from trainer.shards.shard import Shard

HEADER = ("n", "clear")
ROOT = Path(__file__).resolve().parents[1]


def write_numbered(
    path: Path, records: int, *, validate: int = 0, rows_per_shard: int = 10
) -> Path:
    """Write a dataset whose record i is (i + 0.5, i % 2), validation records last."""
    rows = [(f"{n}.5", str(n % 2)) for n in range(records + validate)]
    return write_dataset(
        path, HEADER, rows[:records], validate=rows[records:], rows_per_shard=rows_per_shard
    )


def open_numbered(path: Path) -> tuple[FeatureSpec, list[Shard]]:
    """Return the spec and the training shards of such a dataset."""
    dataset = open_dataset(path)
    spec = derive_features(dataset, label="clear")
    return spec, list(dataset.shards[Side.TRAIN])


def numbers(spec: FeatureSpec, x: Float32) -> list[int]:
    """Return the numbers of the records in X, shape (B, 1)."""
    (feature,) = spec.standard
    found = x[:, 0].astype(np.float64) * feature.std + feature.mean
    return [int(n) for n in np.floor(found + 0.01)]


class Owner:
    """Somebody who asks."""


def read_all(feed: Feed, shards: list[Shard], owner: object, *, ahead: int = 8) -> Iterator[int]:
    """Yield the number of each record, shard after shard."""
    for i, shard in enumerate(shards):
        (batch,) = feed.read([shard], ahead=shards[i + 1 : i + 1 + ahead], owner=owner)
        yield from numbers(feed.spec, batch.x)


def alive(pids: Iterable[int]) -> list[int]:
    """Return which of these processes still run; a zombie does not."""
    listing = subprocess.run(
        ["ps", "-o", "pid=,stat=", "-p", ",".join(map(str, pids))],
        capture_output=True,
        text=True,
        check=False,
    ).stdout
    return [int(pid) for pid, state in map(str.split, listing.splitlines()) if state[0] != "Z"]


def comes_true(condition: Callable[[], bool]) -> bool:
    """Return whether a condition comes true in time."""
    end = time.monotonic() + PATIENCE_S
    while not condition():
        if time.monotonic() > end:
            return False
        time.sleep(0.02)
    return True
