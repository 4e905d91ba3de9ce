"""Full disks, failing disks, too few files: a clear error, and the same bytes once it is mended."""

from __future__ import annotations

import errno
import gzip
import os
import shutil
import subprocess
import sys
import textwrap
from collections.abc import Iterator, Mapping
from pathlib import Path

import pytest
from faults import failing_disk, leave_free, small_disk
from killing import OPTIONS, write_log
from patience import PATIENCE_S
from splitting import SHARDER, sharder, tree

from sharder import split
from sharder.config import SplitConfig
from sharder.disk import writeback
from shared.errors import TargetError

PARTIAL = ".log_quest.partial"


@pytest.fixture(scope="module")
def undisturbed(tmp_path_factory: pytest.TempPathFactory) -> Path:
    home = tmp_path_factory.mktemp("undisturbed")
    write_log(home, 12_000)
    sharder("split", "drop.csv", *OPTIONS, cwd=home)
    (home / "drop.csv.gz").write_bytes(gzip.compress((home / "drop.csv").read_bytes()))
    sharder("split", "drop.csv.gz", *OPTIONS, "--name", "packed", cwd=home)
    return home


@pytest.fixture
def disk(tmp_path: Path) -> Iterator[Path]:
    with small_disk(tmp_path / "disk", "16m") as place:
        yield place


def run(
    home: Path, *args: object, env: Mapping[str, str] | None = None, files: int | None = None
) -> tuple[int, str]:
    """Run `sharder split` into `data`; return its exit status, and what it told."""
    starve = [] if files is None else ["bash", "-c", 'ulimit -n "$0" && exec "$@"', str(files)]
    done = subprocess.run(
        [*starve, SHARDER, "split", *map(str, args)],
        cwd=home,
        env=env,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.PIPE,
        text=True,
        timeout=PATIENCE_S,
    )
    assert "Traceback" not in done.stderr
    return done.returncode, done.stderr


@pytest.mark.parametrize("source", ["drop.csv", "drop.csv.gz"])
def test_a_disk_that_is_full_at_any_moment_leaves_nothing_under_a_final_name(
    disk: Path, undisturbed: Path, source: str
) -> None:
    name = "log_quest" if source == "drop.csv" else "packed"
    expected = sides(undisturbed, name)
    used = sum(-(-len(data) // 4096) * 4096 for data in expected.values())
    shutil.copy2(undisturbed / source, disk)
    found = []
    # Before the first shard, among them, at a checkpoint, at what is left over, at the manifest.
    for free in (0, used // 2, used - 4096):
        shutil.rmtree(disk / "data", ignore_errors=True)
        leave_free(disk, free)
        args = (source, *OPTIONS, "--name", name)
        status, told = run(disk, *args)
        assert status == 1
        assert "No space left on device" in told or "free for the shards" in told
        assert "free some room" in told
        left = sorted(path.name for path in (disk / "data").glob("*"))
        kept = "what is done is kept: the same command goes on from there" in told
        assert left == [f".{name}.partial"] * kept
        found.append(told)
    assert any("No space left on device" in told for told in found)
    leave_free(disk, 1 << 30)
    status, told = run(disk, *args)
    assert status == 0
    assert ("going on at " in told) == (source == "drop.csv")
    assert tree(disk / "data") == expected


def test_a_source_that_cannot_be_read_to_its_end_is_gone_on_with(
    tmp_path: Path,
) -> None:
    write_log(tmp_path, 60_000)
    options = (*OPTIONS, "--block-bytes", 2000, "--rows-per-shard", 500)
    sharder("split", "drop.csv", *options, cwd=tmp_path)
    (tmp_path / "data").rename(tmp_path / "undisturbed")
    source = tmp_path / "drop.csv"
    env = failing_disk(tmp_path, source, byte=source.stat().st_size * 3 // 4)
    for _ in range(2):  # the second run does not get further than the first
        status, told = run(tmp_path, "drop.csv", *options, env=env)
        assert status == 1
        assert "drop.csv: expected a readable file, found Input/output error" in told
        assert "what is done is kept: the same command goes on from there" in told
        assert [path.name for path in (tmp_path / "data").iterdir()] == [".log_quest.partial"]
    status, told = run(tmp_path, "drop.csv", *options)
    assert status == 0
    assert "going on at " in told
    assert tree(tmp_path / "data") == tree(tmp_path / "undisturbed")


def test_what_the_disk_refuses_while_a_run_goes_on_is_told(
    tmp_path: Path, undisturbed: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    # The system tells so once: the last sync would not know.
    def refuse(_: Path) -> None:
        raise OSError(errno.EIO, os.strerror(errno.EIO))

    monkeypatch.setattr(writeback, "sync_file_system", refuse)
    monkeypatch.setattr(writeback, "_PAUSE_S", 0.0)
    config = SplitConfig(sources=(undisturbed / "drop.csv",), out=tmp_path / "data")
    with pytest.raises(TargetError, match="expected to write here, found Input/output error"):
        split.run(config)
    assert not (tmp_path / "data/log_quest").exists()


def test_too_few_open_files_are_told(tmp_path: Path, undisturbed: Path) -> None:
    shutil.copy2(undisturbed / "drop.csv", tmp_path)
    refused = 0
    for files in range(5, 20):
        status, told = run(tmp_path, "drop.csv", *OPTIONS, files=files)
        if status == 0:
            break
        refused += 1
        assert "Too many open files" in told
        assert "allow more with `ulimit -n`, then run the same command again" in told
    assert refused
    assert status == 0
    assert tree(tmp_path / "data") == sides(undisturbed, "log_quest")


def test_a_disk_that_may_not_be_written_is_told_and_read(
    disk: Path, tmp_path: Path, undisturbed: Path
) -> None:
    shutil.copy2(undisturbed / "drop.csv", disk)
    subprocess.run(["mount", "-o", "remount,ro", str(disk)], check=True)
    home = os.environ | {"HOME": str(disk)}
    for out in (disk, disk / "data"):
        status, told = run(disk, "drop.csv", *OPTIONS[2:], "--out", out, env=home)
        assert (status, told.count("Read-only file system")) == (1, 1)
    status, _ = run(disk, "drop.csv", *OPTIONS[2:], "--out", tmp_path / "data", env=home)
    assert status == 0
    assert tree(tmp_path / "data") == sides(undisturbed, "log_quest")


# Up to Python 3.11, Ctrl-C while a class is made is a RuntimeError.
IMPORTING = """
    from sharder import cli

    class Interrupting:
        def __set_name__(self, owner, name):
            raise KeyboardInterrupt

    def imports(**options):
        type("Made", (), {"field": Interrupting()})

    cli.cli.main = imports
    cli.main()
"""


def test_ctrl_c_in_the_middle_of_an_import_is_no_bug() -> None:
    command = [sys.executable, "-c", textwrap.dedent(IMPORTING)]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == 130
    assert done.stderr == "sharder: interrupted; nothing is left behind\n"


def sides(home: Path, name: str) -> dict[str, bytes]:
    """The files of a dataset, all of its sides."""
    files = tree(home / "data").items()
    return {path: data for path, data in files if path.startswith(name)}
