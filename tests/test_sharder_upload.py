"""A dataset in an object store, written to a real S3 server: the names and bytes of one on disk."""

from __future__ import annotations

import os
import re
from pathlib import Path

import fsspec
import pytest
from dask_cluster import Cluster
from faults import small_disk
from measuring import run_measured
from s3_server import S3Server
from splitting import SAMPLE, SHARDER, failure, sharder, tree, write
from training import failure as refused
from uploading import BLOCKS, SMALL_BLOCKS, take_source

from sharder import repair
from sharder.config import SplitConfig
from sharder.dataset.mixing import find_shares
from sharder.dataset.verify import require_manifest
from sharder.plan import forecast
from sharder.split import SplitResult, run
from shared.errors import ConfigError, TargetError
from shared.place import ObjectPath, Place


@pytest.fixture
def home(on_disk: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A directory with the same source, and a cache of its own."""
    return take_source(on_disk, tmp_path, monkeypatch)


def test_a_store_gets_the_dataset_that_a_directory_gets(
    home: Path, on_disk: Path, store: S3Server
) -> None:
    done = sharder("split", "drop.csv", "--out", "s3://drops/same/", *SMALL_BLOCKS, cwd=home)
    assert done.stdout == "s3://drops/same/log_quest\n"
    assert store.tree("same") == tree(on_disk / "data")
    state = "log_quest/state_1.msgpack"  # the same, too, with blocks of the same size
    assert store.tree("same", skipped="csv")[state] == (on_disk / "data" / state).read_bytes()
    assert not (home / "cache").exists()

    place = "s3://drops/same/log_quest"
    proved = sharder("verify", place, cwd=home).stdout
    assert f"{place}: each of 28 shards" in proved
    rejected = tree(on_disk / "data")["log_quest/rejected/records.csv"].decode()
    assert sharder("rejected", "--raw", place, cwd=home).stdout == rejected
    manifest = require_manifest(on_disk / "data/log_quest")
    shares = find_shares(on_disk / "data/log_quest", manifest, "player")
    assert find_shares(ObjectPath(place), manifest, "player") == shares
    assert f"{place}\n5,511 records = " in sharder("info", place, cwd=home).stdout

    message = failure("split", "drop.csv", "--out", "s3://drops/same", *BLOCKS, cwd=home)
    assert f"{place}: expected no dataset of this name yet, found one" in message
    assert store.tree("same") == tree(on_disk / "data")

    name = "same/log_quest/splited/split_data_00003.csv"
    store.put(name, b"a\n1\n")
    store.put("same/log_quest/splited/more.csv", b"")
    store.client.delete_object(Bucket="drops", Key=name.replace("3.csv", "5.csv"))
    message = failure("verify", place, cwd=home)
    assert "found 3 faults" in message
    assert f"s3://drops/{name}: expected the header id, player, score, comment" in message
    assert "split_data_00005.csv: found no such object" in message
    assert "splited: expected 25 train shards and nothing else, found more.csv" in message


def test_a_run_into_a_store_keeps_to_its_memory(tmp_path: Path, store: S3Server) -> None:
    def least(out: Place, rows_per_shard: int) -> int:
        with pytest.raises(ConfigError, match=r"^--memory") as refused:
            run(
                SplitConfig(
                    sources=(drop,),
                    out=out,
                    memory_bytes=1,
                    rows_per_shard=rows_per_shard,
                    profile=False,
                )
            )
        return int(re.findall(r"at least ([\d,]+) MiB", str(refused.value))[0].replace(",", ""))

    out, rows = ObjectPath("s3://drops/large"), 10_000_000
    header, _, body = SAMPLE.read_bytes().partition(b"\n")
    drop = write(tmp_path, header + b"\n" + 60_000_000 // len(body) * body)
    asked = least(out, rows)
    options = ("--memory", f"{asked}MiB", "--rows-per-shard", rows, "--no-profile")
    done = run_measured((SHARDER, "split", drop, "--out", out, *options), tmp_path)
    assert done.status == 0, done.stderr
    assert done.peak <= asked

    os.truncate(drop, 10**10)  # a hole: a few pages on disk
    # More than 40,000 shards, which the store lists.
    assert least(out, 1000) > least(tmp_path, 1000) + 40


def test_any_store_takes_a_shuffled_dataset_from_a_script(home: Path) -> None:
    def split(out: Place) -> SplitResult:
        return run(
            SplitConfig(
                sources=(home / "drop.csv",),
                out=out,
                block_bytes=20_000,
                rows_per_shard=200,
                shuffle=True,
            )
        )

    split(home / "here")
    result = split(ObjectPath("memory://there"))
    assert result.dataset == ObjectPath("memory://there/log_quest")
    files = fsspec.filesystem("memory")
    found = {name.removeprefix("/there/"): files.cat(name) for name in files.find("/there")}
    assert {n: data for n, data in found.items() if ".msgpack" not in n} == tree(home / "here")


def test_what_a_store_cannot_have_is_refused(home: Path) -> None:
    place = ObjectPath("s3://drops/x")
    for option in ("append", "overwrite"):
        with pytest.raises(ConfigError, match=f"^--{option}: .*found a store, whose objects"):
            SplitConfig(sources=("drop.csv",), out=place, **{option: True})  # type: ignore[arg-type]
    with pytest.raises(ConfigError, match="expected a dataset in a directory of this machine"):
        repair.run(place / "log_quest")
    message = failure("split", "drop.csv", "--out", "nowhere://x", cwd=home)
    assert "nowhere://x" in message
    assert "found ValueError: Protocol not known: nowhere" in message
    for url in ("s3://", "s3:///data"):
        told = sharder("split", "drop.csv", "--out", url, cwd=home, status=2).stderr
        assert f"{url} names no bucket: is a shell variable not set?" in told


def test_a_disk_that_a_store_needs_is_named(home: Path, store: S3Server) -> None:
    out = ObjectPath("s3://drops/full")
    with (
        small_disk(home / "cache", "64k") as disk,
        pytest.raises(TargetError, match=r"B free for what a run into .*in XDG_CACHE_HOME$") as e,
    ):
        run(SplitConfig(sources=(home / "drop.csv",), out=out, shuffle=True))
    assert str(e.value).startswith(f"{disk}/shardfit/")
    assert store.tree("full") == {}


def test_a_split_into_a_store_can_be_planned(home: Path, store: S3Server) -> None:
    told = sharder("plan", "drop.csv", "--out", "s3://drops/planned", cwd=home).stdout
    line = r"^store +1\d\d\.\d kB, \d objects; its room and pace are not known$"
    assert re.search(line, told, re.MULTILINE)
    store.put("planned/log_quest_validate/notes", b"theirs")
    config = SplitConfig(sources=(home / "drop.csv",), out=ObjectPath("s3://drops/planned"))
    with pytest.raises(TargetError, match=r"_validate: expected nothing there, found notes"):
        forecast.run(config)
    store.put("planned/log_quest/manifest.json", b"theirs")
    with pytest.raises(TargetError, match=r"expected no dataset of this name yet, found one"):
        forecast.run(config)


def test_a_cluster_writes_to_a_store(
    home: Path, on_disk: Path, store: S3Server, monkeypatch: pytest.MonkeyPatch
) -> None:
    (home / "cluster").mkdir()
    cluster = Cluster(home / "cluster")
    try:
        cluster.start_worker()
        options = ("--out", "s3://drops/cluster", *BLOCKS, "--scheduler", cluster.file)
        sharder("split", "drop.csv", *options, cwd=home)
        assert store.tree("cluster") == tree(on_disk / "data")

        # What this path means depends on the process that looks at it.
        monkeypatch.setenv("XDG_CACHE_HOME", "/proc/self/cwd/cache")
        message = failure("split", "drop.csv", *options, "--name", "other", cwd=home)
        assert "name a directory that all workers see in XDG_CACHE_HOME" in message
    finally:
        cluster.stop()


def test_the_trainer_says_how_to_fetch_a_dataset(tmp_path: Path) -> None:
    options = ("--label", "a", "--out", "run")
    place = "s3://drops/x/log_quest"
    message = refused("fit", place, *options, cwd=tmp_path)
    assert f"{place}: expected a dataset in a directory of this machine" in message
    assert "`aws s3 sync s3://drops/x data`, and give data/log_quest" in message
