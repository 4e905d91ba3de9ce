"""A split on a real Dask cluster: a scheduler and workers, each a process of its own."""

from __future__ import annotations

import subprocess
import time
from collections.abc import Iterator
from pathlib import Path

import killing
import pytest
from dask_cluster import Cluster
from killing import cut_off, write_log
from splitting import SHARDER, failure, sharder, tree, write

# Small blocks, and so many that a worker can be killed among them.
OPTIONS = ("--block-bytes", 8000, "--rows-per-shard", 50)


@pytest.fixture(scope="module")
def cluster(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Cluster]:
    started = Cluster(tmp_path_factory.mktemp("cluster"))
    try:
        started.start_worker()
        started.start_worker()
        yield started
    finally:
        started.stop()


@pytest.fixture(scope="module")
def undisturbed(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A directory with a source, split by threads."""
    home = tmp_path_factory.mktemp("undisturbed")
    write_log(home, 15_000)
    sharder("split", "drop.csv", "--out", "data", *OPTIONS, cwd=home)
    return home


def start_and_wait(home: Path, *command: object) -> subprocess.Popen[bytes]:
    """Start a run, and wait until it is in the middle."""
    process = subprocess.Popen([SHARDER, *map(str, command)], cwd=home, stderr=subprocess.PIPE)
    shards = home / str(command[-1]) / ".log_quest.partial/log_quest/splited"
    while not shards.is_dir() or len(list(shards.iterdir())) < 60:
        assert process.poll() is None, process.communicate()
        time.sleep(0.01)
    return process


def test_a_cluster_gives_the_same_bytes_also_if_a_worker_is_killed(
    undisturbed: Path, cluster: Cluster
) -> None:
    expected = tree(undisturbed / "data")
    command = ["split", "drop.csv", "--scheduler", cluster.file, *OPTIONS, "--out"]
    sharder(*command, "whole", cwd=undisturbed)
    assert tree(undisturbed / "whole") == expected

    with start_and_wait(undisturbed, *command, "lost") as process:
        cluster.kill_worker()
        _, told = process.communicate(timeout=120)
    assert process.returncode == 0, told.decode()
    assert tree(undisturbed / "lost") == expected
    assert {path.name for path in (undisturbed / "lost").iterdir()} == {
        "log_quest",
        "log_quest_validate",
    }
    cluster.start_worker()


def test_after_a_kill_the_same_command_ends_with_the_same_bytes(
    undisturbed: Path, cluster: Cluster
) -> None:
    command = ["split", "drop.csv", "--scheduler", cluster.file, *OPTIONS, "--out"]
    with start_and_wait(undisturbed, *command, "killed") as process:
        process.kill()
    sharder(*command, "killed", cwd=undisturbed)
    assert tree(undisturbed / "killed") == tree(undisturbed / "data")


def test_a_source_that_has_changed_since_a_kill_is_refused(
    tmp_path: Path, cluster: Cluster
) -> None:
    write_log(tmp_path)
    cut_off(tmp_path)
    with (tmp_path / "drop.csv").open("a") as file:
        file.write("5500,p1,1.5,late\n")
    command = ("split", "drop.csv", *killing.OPTIONS, "--scheduler", cluster.file)
    message = failure(*command, cwd=tmp_path)
    assert "bytes that the unfinished run has begun to split, found other bytes" in message


def test_an_error_on_a_worker_is_told_as_of_a_thread_and_leaves_nothing(
    tmp_path: Path, cluster: Cluster
) -> None:
    write(tmp_path, "a,b\n" + "1,2\n" * 5000 + "1,2,3\n" * 5000)
    command = ("split", "drop.csv", "--out", "data", "--block-bytes", 4000)
    here = sharder(*command, cwd=tmp_path, status=1).stderr
    there = sharder(*command, "--scheduler", cluster.file, cwd=tmp_path, status=1).stderr
    # On a slow machine, there is a line of progress before it.
    there = there[there.index("sharder: error: ") :]
    assert "record 5001 (line 5002, byte 20004): 3 fields, the header has 2" in there
    assert there == here[here.index("sharder: error: ") :]
    assert list(tmp_path.iterdir()) == [tmp_path / "drop.csv"]


def test_what_a_cluster_cannot_do_is_refused(tmp_path: Path, cluster: Cluster) -> None:
    source = write(tmp_path, "a\n" + "1\n" * 100)
    options = ("--out", "data", "--scheduler", cluster.file)
    assert "stdin: expected a source that workers can read in pieces" in failure(
        *("split", "-", *options), cwd=tmp_path, stdin=source.read_bytes()
    )
    # What this path means depends on the process that looks at it.
    message = failure("split", "/proc/self/cwd/drop.csv", *options, cwd=tmp_path)
    assert "expected to see /proc/self/cwd/drop.csv as this process does" in message
    both = sharder("split", source, *options, "--memory", "1GiB", cwd=tmp_path, status=2)
    assert "--memory: expected no --scheduler beside it" in both.stderr
    both = sharder("split", source, *options, "--shuffle", cwd=tmp_path, status=2)
    assert "--shuffle: expected no --scheduler beside it" in both.stderr
    assert list(tmp_path.iterdir()) == [source]


def test_a_scheduler_that_is_not_there_is_named(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("DASK_DISTRIBUTED__COMM__TIMEOUTS__CONNECT", "1s")
    write(tmp_path, "a\n1\n")
    options = ("--out", "data", "--scheduler")
    message = failure("split", "drop.csv", *options, "tcp://127.0.0.1:9", cwd=tmp_path)
    assert "--scheduler tcp://127.0.0.1:9: expected a Dask scheduler that answers" in message
    message = failure("split", "drop.csv", *options, "127.0.0.1:9", cwd=tmp_path)
    assert "--scheduler 127.0.0.1:9: expected tcp://HOST:PORT, or what `dask scheduler" in message


def test_without_the_package_the_install_command_is_shown(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    write(tmp_path, "a\n1\n")
    write(tmp_path, "raise ModuleNotFoundError", "distributed.py")
    monkeypatch.setenv("PYTHONPATH", str(tmp_path))
    options = ("--out", "data", "--scheduler", "tcp://127.0.0.1:9")
    message = failure("split", "drop.csv", *options, cwd=tmp_path)
    assert "expected the package distributed, found none; pip install distributed" in message
