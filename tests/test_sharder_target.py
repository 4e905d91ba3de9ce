"""Where a dataset goes: it is there as a whole, or what was there before is."""

from __future__ import annotations

import os
import re
import shutil
import signal
import subprocess
import time
from pathlib import Path

import pytest
from patience import PATIENCE_S
from splitting import SHARDER, failure, sharder, shell, trapped, tree, write

# As a message spells it.
SECOND = "%Y-%m-%d %H:%M:%S"


def test_an_existing_dataset_is_replaced_only_with_overwrite(tmp_path: Path) -> None:
    write(tmp_path, "a\n" + "1\n" * 3000)
    sharder("split", "drop.csv", "--out", "data", cwd=tmp_path)
    before = tree(tmp_path / "data")
    assert "--overwrite" in failure("split", "drop.csv", "--out", "data", cwd=tmp_path)
    write(tmp_path, 'a\n1\n"2\n')
    failure("split", "drop.csv", "--out", "data", "--overwrite", cwd=tmp_path)
    assert tree(tmp_path / "data") == before
    write(tmp_path, "a\n" + "2\n" * 10)
    sharder("split", "drop.csv", "--out", "data", "--overwrite", cwd=tmp_path)
    sharder("verify", "data/log_quest", cwd=tmp_path)
    assert len(tree(tmp_path / "data" / "log_quest" / "splited")) == 1


def test_a_run_without_room_is_refused_before_anything_is_written(tmp_path: Path) -> None:
    write(tmp_path, "a,b\n1,2\n")
    with (tmp_path / "drop.csv").open("r+b") as file:
        file.truncate(1 << 43)  # a hole: 8 TiB in size, one page on disk
    message = failure("split", "drop.csv", "--out", "data", cwd=tmp_path)
    assert " free for the shards" in message
    assert not (tmp_path / "data").exists()


def test_ctrl_c_leaves_nothing_and_a_killed_run_is_cleaned_by_the_next(tmp_path: Path) -> None:
    write(tmp_path, "a,b\n" + '1,"some text"\n' * 10_000)
    command = [SHARDER, "split", "drop.csv", "--out", "data", "--block-bytes", "20KiB"]

    def start(number: signal.Signals) -> subprocess.Popen[bytes]:
        return subprocess.Popen(
            command, cwd=tmp_path, env=trapped(tmp_path, number), stderr=subprocess.PIPE
        )

    killed = start(signal.SIGKILL)
    killed.communicate(timeout=PATIENCE_S)
    assert killed.returncode == -signal.SIGKILL
    assert [path.name for path in (tmp_path / "data").iterdir()] == [".log_quest.partial"]

    before = time.strftime(SECOND)
    interrupted = start(signal.SIGSTOP)
    assert os.WIFSTOPPED(os.waitpid(interrupted.pid, os.WUNTRACED)[1])
    after = time.strftime(SECOND)
    message = failure("split", "drop.csv", "--out", "data", cwd=tmp_path)
    found = re.search(
        r"expected no other run with this target, found process (\d+), which has held it since "
        r"(\d{4}-\d\d-\d\d \d\d:\d\d:\d\d)",
        message,
    )
    assert found, message
    assert int(found[1]) == interrupted.pid
    assert before <= found[2] <= after
    os.kill(interrupted.pid, signal.SIGINT)
    os.kill(interrupted.pid, signal.SIGCONT)
    _, stderr = interrupted.communicate(timeout=PATIENCE_S)
    assert interrupted.returncode == 130, stderr.decode()
    assert b"Traceback" not in stderr
    assert list((tmp_path / "data").iterdir()) == []


def test_where_no_byte_can_be_written_nothing_is_left(tmp_path: Path) -> None:
    write(tmp_path, "a\n1\n2\n")
    done = shell("ulimit -f 0; sharder split drop.csv --out data", tmp_path)
    assert (done.returncode, done.stdout) == (1, "")
    assert done.stderr.endswith("expected to write here, found File too large\n")
    assert [path.name for path in tmp_path.iterdir()] == ["drop.csv"]


@pytest.mark.parametrize("option", ["--profile", "--overwrite"])
def test_a_link_to_nowhere_is_refused_before_the_work(tmp_path: Path, option: str) -> None:
    write(tmp_path, "a\n1\n2\n")
    (tmp_path / "log_quest").symlink_to("nowhere")
    message = failure("split", "drop.csv", "--out", ".", option, cwd=tmp_path)
    assert "log_quest: expected " in message
    assert "give another --name or --out" in message
    assert sorted(path.name for path in tmp_path.iterdir()) == ["drop.csv", "log_quest"]


def test_overwrite_replaces_nothing_that_is_no_dataset(tmp_path: Path) -> None:
    write(tmp_path, "a\n1\n2\n")
    precious = tmp_path / "src" / "main.py"
    precious.parent.mkdir()
    precious.write_text("precious")
    options = ("--out", ".", "--name", "src", "--validate-fraction", 0, "--overwrite")
    assert "main.py, which is no part of one" in failure(
        "split", "drop.csv", *options, cwd=tmp_path
    )
    assert precious.read_text() == "precious"


@pytest.mark.parametrize("published", ["nothing", "validation side"])
def test_a_run_killed_while_it_replaced_a_dataset_leaves_the_old_one(
    tmp_path: Path, published: str
) -> None:
    write(tmp_path, "a\n" + "1\n" * 3000)
    sharder("split", "drop.csv", "--out", "data", cwd=tmp_path)
    before = tree(tmp_path / "data")
    # As SIGKILL between two renames leaves it: the old sides aside, the new ones on their way.
    partial = tmp_path / "data" / ".log_quest.partial"
    shutil.copytree(tmp_path / "data" / "log_quest", partial / "log_quest")
    (partial / ".retired").mkdir()
    for name in ("log_quest", "log_quest_validate"):
        (tmp_path / "data" / name).rename(partial / ".retired" / name)
    if published == "validation side":
        (tmp_path / "data" / "log_quest_validate" / "splited").mkdir(parents=True)
    write(tmp_path, "a\n" + "1\n" * 50_000 + '"2\n', "bad.csv")
    sharder("split", "bad.csv", "--out", "data", "--overwrite", cwd=tmp_path, status=1)
    assert tree(tmp_path / "data") == before
