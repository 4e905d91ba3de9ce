"""`--shuffle`: the records of each side come in a random order, all of it drawn from the seed."""

from __future__ import annotations

import os
import shutil
import signal
from pathlib import Path

import numpy as np
import numpy.typing as npt
import pytest
from killing import CHECKPOINT, OPTIONS, cut_off, write_log
from splitting import read_side, sharder, tree

from sharder.config import SplitConfig
from sharder.graph.buckets import shuffle_keys
from sharder.split import run
from shared.errors import TargetError
from shared.layout import Side
from shared.splitmix import mix

SHUFFLE = ("--shuffle", "--test-fraction", "0.2", "--group-by", "player")


@pytest.fixture(scope="module")
def undisturbed(tmp_path_factory: pytest.TempPathFactory) -> Path:
    home = tmp_path_factory.mktemp("undisturbed")
    write_log(home)
    sharder("split", "drop.csv", *OPTIONS, *SHUFFLE, cwd=home)
    return home


def test_blocks_workers_and_buckets_do_not_change_the_order(
    undisturbed: Path, tmp_path: Path
) -> None:
    sharder("verify", "data/log_quest", cwd=undisturbed)
    expected = tree(undisturbed / "data")
    shutil.copy2(undisturbed / "drop.csv", tmp_path)
    whole = ("--block-bytes", "8MiB", "--workers", 1)
    sharder("split", "drop.csv", *OPTIONS, *whole, *SHUFFLE, cwd=tmp_path)
    assert tree(tmp_path / "data") == expected
    # The buckets of a stream are larger here than what is gathered at once.
    small = ("--name", "stream", "--block-bytes", "150", "--workers", 3)
    source = (tmp_path / "drop.csv").read_bytes()
    sharder("split", "-", *OPTIONS, *small, *SHUFFLE, cwd=tmp_path, stdin=source)
    for side in Side:
        name = f"{side.suffix}/splited"
        assert tree(tmp_path / f"data/stream{name}") == tree(undisturbed / f"data/log_quest{name}")
    # The same records as without it, on the same sides, in another order.
    sharder("split", "drop.csv", *OPTIONS, "--name", "plain", *SHUFFLE[1:], cwd=tmp_path)
    for side in Side:
        shuffled, plain = (
            read_side(tmp_path / "data" / name, side) for name in ("log_quest", "plain")
        )
        ids = [int(row["id"]) for row in shuffled]
        assert ids != sorted(ids)
        assert sorted(shuffled, key=lambda row: int(row["id"])) == plain


@pytest.mark.parametrize(
    ("checkpoints", "files", "done"),
    [(1, ".buckets/", "40%"), (2, "split_data_", "50%"), (4, "split_data_", "63%")],
)
def test_killed_in_either_pass_it_ends_with_the_same_bytes(
    undisturbed: Path, tmp_path: Path, checkpoints: int, files: str, done: str
) -> None:
    shutil.copy2(undisturbed / "drop.csv", tmp_path)
    cut_off(tmp_path, signal.SIGKILL, *SHUFFLE, checkpoints=checkpoints, files=files)
    buckets = tmp_path / CHECKPOINT.with_name(".buckets")
    # Those that were gathered are gone.
    assert (len(list(buckets.iterdir())) < 240) == (checkpoints > 2)
    told = sharder("split", "drop.csv", *OPTIONS, *SHUFFLE, cwd=tmp_path).stderr
    assert f"going on at {done}" in told
    assert tree(tmp_path / "data") == tree(undisturbed / "data")
    assert [path.name for path in (tmp_path / "data").iterdir() if path.name[0] == "."] == []


def test_a_bucket_that_is_not_whole_is_not_gone_on_with(undisturbed: Path, tmp_path: Path) -> None:
    shutil.copy2(undisturbed / "drop.csv", tmp_path)
    cut_off(tmp_path, signal.SIGKILL, *SHUFFLE, files="split_data_")
    os.truncate(tmp_path / CHECKPOINT.with_name(".buckets") / "00200", 10)
    told = sharder("split", "drop.csv", *OPTIONS, *SHUFFLE, cwd=tmp_path).stderr
    assert "an unfinished run is not gone on with: bucket 200 is not whole" in told
    assert tree(tmp_path / "data") == tree(undisturbed / "data")


def test_a_shuffle_asks_for_room_for_its_buckets(
    undisturbed: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    source = undisturbed / "drop.csv"
    real, free = os.statvfs, int(source.stat().st_size * 2.3)

    def full(path: str) -> os.statvfs_result:
        found = list(real(path))
        found[1], found[4] = 1, free  # f_frsize, f_bavail
        return os.statvfs_result(found)

    monkeypatch.setattr(os, "statvfs", full)
    run(SplitConfig(sources=(source,), out=tmp_path / "plain", block_bytes=400))
    with pytest.raises(TargetError, match="free for the shards, found"):
        run(SplitConfig(sources=(source,), out=tmp_path / "out", block_bytes=400, shuffle=True))
    assert not (tmp_path / "out").exists()


def chi_square(counts: npt.NDArray[np.float64]) -> float:
    """Return the statistic of counts whose expectations are all the same."""
    return float(np.square(counts - counts.mean()).sum() / counts.mean())


def test_every_order_is_as_likely_as_any_other() -> None:
    n, seeds = 40, 4000
    numbers = np.arange(n, dtype=np.uint64)
    places, followers, quarters = np.zeros((n, n)), np.zeros((n, n)), np.zeros((n, 4))
    for seed in range(seeds):
        order = np.argsort(shuffle_keys(numbers, seed))
        places[order, np.arange(n)] += 1
        followers[order[:-1], order[1:]] += 1
        # Among the records of a side, which a hash of the same seed has chosen.
        side = mix(numbers ^ mix(np.array([seed], np.uint64))) < np.uint64(2**63)
        of_side = order[side[order]]
        quarters[of_side, np.arange(len(of_side)) * 4 // max(len(of_side), 1)] += 1
    # A side rarely has four quarters of the same size.
    quarters *= quarters.mean() / quarters.mean(axis=0)
    # A statistic of f degrees of freedom is f ± sqrt(2 f); these may be five times that off.
    for counts, freedom in (
        (places, (n - 1) ** 2),
        (followers[~np.eye(n, dtype=bool)], n * (n - 1) - 2 * (n - 1) - 1),
        (quarters, 3 * n),
    ):
        assert abs(chi_square(counts) - freedom) < 5 * (2 * freedom) ** 0.5
