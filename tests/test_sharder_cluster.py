"""A split on a real Dask cluster: a scheduler and workers, each a process of its own.

And under a Dask scheduler in the process of the split, with its dashboard.
"""

from __future__ import annotations

import signal
import subprocess
import time
import urllib.request
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
    assert "stdin: expected with --scheduler or --dashboard, a source that can be" in failure(
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


def test_the_dashboard_shows_a_run_that_gives_the_same_bytes(undisturbed: Path) -> None:
    pytest.importorskip("bokeh")
    command = ["split", "drop.csv", "--out", "watched", "--dashboard"]
    # Small blocks: so many that the page can be looked at before it is interrupted.
    long = [SHARDER, *command, "--block-bytes", "1000", "--rows-per-shard", "50"]
    with subprocess.Popen(long, cwd=undisturbed, stderr=subprocess.PIPE, text=True) as process:
        assert process.stderr is not None
        url = process.stderr.readline().removeprefix("dashboard: ").strip()
        assert url.startswith("http://127.0.0.1:")
        with urllib.request.urlopen(url, timeout=60) as page:
            assert "<title>Dask Diagnostic UI</title>" in page.read().decode()
        process.send_signal(signal.SIGINT)
        told = process.stderr.read()
    assert process.returncode == 130, told
    assert "Traceback" not in told
    assert told.splitlines()[-1].startswith("sharder: interrupted; ")

    sharder(*command, *OPTIONS, cwd=undisturbed)
    assert tree(undisturbed / "watched") == tree(undisturbed / "data")


def test_what_the_dashboard_cannot_show_is_refused(tmp_path: Path) -> None:
    write(tmp_path, "a\n1\n")
    for other in (("--scheduler", "x.json"), ("--shuffle",), ("--memory", "1GiB")):
        options = ("--out", "data", "--dashboard", *other)
        told = sharder("split", "drop.csv", *options, cwd=tmp_path, status=2).stderr
        assert " beside it, found both; " in told
