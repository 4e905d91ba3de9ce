"""After a power loss the same command goes on, whatever of what was not synced is lost."""

from __future__ import annotations

import shutil
import signal
from pathlib import Path

import pytest
import resuming
from killing import OPTIONS, write_log
from power_loss import PowerLoss
from splitting import SHARDER, sharder, tree
from training import TRAINER


@pytest.mark.parametrize(
    "options", [("--shuffle",), ("--append",), ("--overwrite", "--seed", "1")], ids=str
)
def test_split(tmp_path: Path, options: tuple[str, ...]) -> None:
    home, whole = tmp_path / "home", tmp_path / "whole"
    home.mkdir()
    write_log(home)
    if options != ("--shuffle",):
        write_log(home, 500, name="first.csv", seed=1)
        sharder("split", "first.csv", *OPTIONS, cwd=home)
    shutil.copytree(home, whole)
    command = ("split", "drop.csv", *OPTIONS, *options)
    sharder(*command, cwd=whole)

    power, at, told, status = PowerLoss(home, tmp_path), 0, "", -signal.SIGKILL
    while status:
        # An append has a call for each of its shards.
        at += max(at // 3, 1)
        done = power.run((SHARDER, *command), at=at, keeps_names=bool(at % 2))
        status, told = done.returncode, told + done.stderr
        assert status in (0, -signal.SIGKILL), told
        if (home / "data/log_quest").exists():
            sharder("verify", "data/log_quest", cwd=home)
    assert tree(home / "data") == tree(whole / "data")
    # A checkpoint tells only of what is on the disk.
    assert "going on at " in told
    assert "is not whole" not in told


def test_fit(tmp_path: Path) -> None:
    home = tmp_path / "home"
    home.mkdir()
    resuming.make_home(home)
    resuming.fit(home, "undisturbed")
    command = (TRAINER, "fit", "data/log", "--out", "run", *resuming.OPTIONS)
    power, told, statuses = PowerLoss(home, tmp_path), "", []
    # Before the first checkpoint, behind some, when the model is saved, and when all is done.
    for at, keeps_names in ((6, True), (13, False), (17, True), (22, False), (99, False)):
        done = power.run(command, at=at, keeps_names=keeps_names)
        statuses.append(done.returncode)
        told += done.stderr
    assert statuses == [-signal.SIGKILL] * 4 + [0], told
    assert told.count("goes on at") >= 2
    assert "damaged" not in told
    assert "Traceback" not in told
    resuming.assert_same(home / "run", home / "undisturbed")
