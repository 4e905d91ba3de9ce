"""A split on a real Dask cluster: a scheduler and workers, each a process of its own."""

from __future__ import annotations

import shutil
import signal
from collections.abc import Iterator
from pathlib import Path

import killing
import pytest
from dask_cluster import Cluster
from killing import CHECKPOINT, cut_off, cut_off_when_done, write_log
from splitting import failure, sharder, trapped, tree, write

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


def set_aside(home: Path) -> dict[str, bytes]:
    """Make room for a run again, and return what an undisturbed one has left."""
    found = tree(home / "data")
    shutil.rmtree(home / "data")
    return found


def test_a_cluster_gives_the_same_bytes_also_if_a_worker_is_killed(
    undisturbed: Path, cluster: Cluster
) -> None:
    expected = tree(undisturbed / "data")
    command = ["split", "drop.csv", "--scheduler", cluster.file, *OPTIONS, "--out"]
    sharder(*command, "whole", cwd=undisturbed)
    assert tree(undisturbed / "whole") == expected

    # It dies at the third shard that it is to write.
    worker = cluster.start_worker(trapped(undisturbed, signal.SIGKILL))
    sharder(*command, "lost", cwd=undisturbed)
    assert cluster.wait_for_end_of(worker) == -signal.SIGKILL
    assert tree(undisturbed / "lost") == expected
    assert {path.name for path in (undisturbed / "lost").iterdir()} == {
        "log_quest",
        "log_quest_validate",
    }


def test_after_a_kill_the_same_command_goes_on_to_the_same_bytes(
    tmp_path: Path, cluster: Cluster
) -> None:
    write_log(tmp_path, 6300)
    sharder("split", "drop.csv", *killing.OPTIONS, cwd=tmp_path)
    expected = set_aside(tmp_path)
    command = ("split", "drop.csv", *killing.OPTIONS, "--scheduler", cluster.file)
    cut_off_when_done(tmp_path, "/.checkpoint", *command, number=signal.SIGKILL)
    assert (tmp_path / CHECKPOINT).exists()
    assert "going on at " in sharder(*command, cwd=tmp_path).stderr
    assert tree(tmp_path / "data") == expected


def test_a_task_that_costs_too_many_workers_stops_the_run_and_another_cluster_goes_on(
    tmp_path: Path, cluster: Cluster, monkeypatch: pytest.MonkeyPatch
) -> None:
    write_log(tmp_path)
    sharder("split", "drop.csv", *killing.OPTIONS, cwd=tmp_path)
    expected = set_aside(tmp_path)
    cut_off(tmp_path)
    # Of one worker, instead of the three that Dask allows a task to lose.
    monkeypatch.setenv("DASK_DISTRIBUTED__SCHEDULER__ALLOWED_FAILURES", "0")
    (tmp_path / "fragile").mkdir()
    fragile = Cluster(tmp_path / "fragile")
    command = ("split", "drop.csv", *killing.OPTIONS, "--scheduler")
    try:
        # It dies at the third shard that it is to write.
        fragile.start_worker(trapped(tmp_path, signal.SIGKILL))
        told = sharder(*command, fragile.file, cwd=tmp_path, status=1).stderr
    finally:
        fragile.stop()
    assert "going on at " in told
    assert "expected workers that stay alive, found 1 that died at the same task, " in told
    assert "going on at " in sharder(*command, cluster.file, cwd=tmp_path).stderr
    assert tree(tmp_path / "data") == expected


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
    here = failure(*command, cwd=tmp_path)
    there = failure(*command, "--scheduler", cluster.file, cwd=tmp_path)
    assert "record 5001 (line 5002, byte 20004): 3 fields, the header has 2" in there
    assert there == here
    assert list(tmp_path.iterdir()) == [tmp_path / "drop.csv"]


def test_what_a_cluster_cannot_do_is_refused(tmp_path: Path, cluster: Cluster) -> None:
    source = write(tmp_path, "a\n" + "1\n" * 100)
    options = ("--out", "data", "--scheduler", cluster.file)
    assert "stdin: expected with --scheduler or --dashboard, a source that can be" in failure(
        *("split", "-", *options), cwd=tmp_path, stdin=source.read_bytes()
    )
    # What this path means depends on the process that looks at it.
    message = failure("split", "/proc/self/cwd/drop.csv", *options, cwd=tmp_path)
    assert "expected to see /proc/self/cwd/drop.csv as this process does" in message
    for other in (("--memory", "1GiB"), ("--shuffle",), ("--clean", "my_rules:clean")):
        both = sharder("split", source, *options, *other, cwd=tmp_path, status=2)
        assert f"{other[0]}: expected no --scheduler beside it, found both; " in both.stderr
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


@pytest.mark.parametrize(
    ("package", "option", "hint"),
    [
        ("distributed", ("--scheduler", "tcp://127.0.0.1:9"), "pip install distributed"),
        ("bokeh", ("--dashboard",), "pip install distributed bokeh"),
    ],
)
def test_without_the_package_the_install_command_is_shown(
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    package: str,
    option: tuple[str, ...],
    hint: str,
) -> None:
    write(tmp_path, "a\n1\n")
    write(tmp_path, f"raise ModuleNotFoundError({f'No module named {package}'!r})", f"{package}.py")
    monkeypatch.setenv("PYTHONPATH", str(tmp_path))
    message = failure("split", "drop.csv", "--out", "data", *option, cwd=tmp_path)
    assert f"{option[0]}: expected what `{hint}` installs" in message
    assert f"found No module named {package}" in message
    assert not (tmp_path / "data").exists()
