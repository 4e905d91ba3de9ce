"""Runs into an object store that are killed, refused, left without an answer, or taken over."""

from __future__ import annotations

import signal
import subprocess
from pathlib import Path
from typing import Any

import pytest
from patience import PATIENCE_S
from s3_server import S3Server
from splitting import SHARDER, failure, sharder, tree
from uploading import BLOCKS, SMALL_BLOCKS, take_source

from sharder.config import SplitConfig
from sharder.split import SplitResult, run
from shared.errors import ConfigError, TargetError
from shared.place import ObjectPath

SHARD = r"PUT /drops/.*/split_data_\d+"
OTHER_MARK = b'{"run":"other","host":"elsewhere","pid":7,"since":"yesterday"}'


@pytest.fixture
def home(on_disk: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A directory with the same source, and a cache of its own."""
    return take_source(on_disk, tmp_path, monkeypatch)


def cut_off(home: Path, *arguments: object, status: int = -signal.SIGKILL) -> str:
    """Run a command that meets the fault of the server; return what it told."""
    store, arm, *rest = arguments
    assert isinstance(store, S3Server) and callable(arm)
    command = [SHARDER, "split", "drop.csv", *map(str, rest)]
    with subprocess.Popen(
        command, cwd=home, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
    ) as process:
        arm(process)
        said, told = process.communicate(timeout=PATIENCE_S)
    store.fault = lambda _request, _is_done: False
    assert said == ""
    assert process.returncode == status, told
    assert "Traceback" not in told
    return told


def test_killed_again_and_again_the_store_ends_with_the_same_objects(
    home: Path, on_disk: Path, store: S3Server
) -> None:
    out = ("--out", "s3://drops/killed", *SMALL_BLOCKS)
    cut_off(home, store, store.kill_at(SHARD, count=10), *out)
    assert ".log_quest.partial" in store.tree("killed")
    # At the checkpoint, there are 22 or so.
    told = cut_off(home, store, store.kill_at(SHARD, count=26), *out)
    assert "an unfinished run is not gone on with: it has no checkpoint" in told
    told = cut_off(home, store, store.kill_at("PUT .*/manifest.json"), *out)
    assert "going on at 80%" in told
    assert "log_quest/manifest.json" not in store.tree("killed")
    cut_off(home, store, store.kill_at("PUT .*/manifest.json", is_done=True), *out)
    assert "log_quest/manifest.json" in store.tree("killed")
    done = sharder("split", "drop.csv", *out, cwd=home)
    assert "an earlier run has done all of it" in done.stderr
    assert done.stdout == "s3://drops/killed/log_quest\n"
    assert store.tree("killed") == tree(on_disk / "data")
    assert tree(home / "cache") == {}


def test_refused_behind_a_checkpoint_a_run_goes_on_when_the_cause_is_gone(
    home: Path, on_disk: Path, store: S3Server
) -> None:
    command = ("split", "drop.csv", "--out", "s3://drops/refused", *SMALL_BLOCKS)
    with store.refusing(SHARD, count=26):
        told = failure(*command, cwd=home)
    assert told.endswith("Forbidden; what is done is kept: the same command goes on from there\n")
    assert "going on at 80%" in sharder(*command, cwd=home).stderr
    assert store.tree("refused") == tree(on_disk / "data")
    assert tree(home / "cache") == {}


def test_a_shuffle_that_was_killed_goes_on_in_a_store(home: Path, store: S3Server) -> None:
    options = (*BLOCKS, "--shuffle", "--out")
    cut_off(home, store, store.kill_at(SHARD, count=10), *options, "s3://drops/shuffled")
    done = sharder("split", "drop.csv", *options, "s3://drops/shuffled", cwd=home)
    assert "going on at 50%" in done.stderr  # in the second pass
    sharder("split", "drop.csv", *options, "here", cwd=home)
    assert store.tree("shuffled") == tree(home / "here")
    assert tree(home / "cache") == {}


def test_what_fails_for_good_leaves_no_object(home: Path, store: S3Server) -> None:
    told = cut_off(
        *(home, store, store.kill_at(SHARD, count=10, number=signal.SIGINT)),
        *("--out", "s3://drops/gone", *BLOCKS),
        status=130,
    )
    assert told.endswith("sharder: interrupted; nothing is left behind\n")
    options = ("--out", "s3://drops/gone", *BLOCKS, "--max-rejected", 0.001)
    message = failure("split", "drop.csv", *options, cwd=home)
    assert "bad records: expected at most 0.1000%" in message
    with store.refusing("split_data_00010"):
        message = failure("split", "drop.csv", *options[:-2], cwd=home)
    assert "split_data_00010.csv: expected to write here, found Forbidden" in message
    assert store.tree("gone") == {}
    assert tree(home / "cache") == {}


def test_a_name_is_no_pattern(home: Path, store: S3Server) -> None:
    def split(name: str) -> SplitResult:
        return run(SplitConfig(sources=(home / "drop.csv",), out=out, name=name))

    out = ObjectPath("s3://drops/literal")
    split("run1")
    theirs = store.tree("literal")
    name = "run[1*]"  # a pattern that matches run1, and not itself
    with (
        store.refusing("PUT .*/manifest.json"),
        pytest.raises(TargetError, match=r"manifest.json: expected to write here, found Forb"),
    ):
        split(name)
    assert store.tree("literal") == theirs
    split(name)
    found = store.tree("literal")
    assert f"{name}/manifest.json" in found
    assert f".{name}.partial" not in found
    assert theirs.items() < found.items()
    with pytest.raises(ConfigError, match=r"s3://drops/literal/a::b: expected a URL without ::"):
        split("a::b")


def test_what_others_have_written_is_not_touched(
    home: Path, on_disk: Path, store: S3Server, monkeypatch: pytest.MonkeyPatch
) -> None:
    store.put("mine/log_quest_validate/notes", b"mine")
    message = failure("split", "drop.csv", "--out", "s3://drops/mine", cwd=home)
    assert "s3://drops/mine/log_quest_validate: expected nothing there, found notes" in message
    assert store.tree("mine") == {"log_quest_validate/notes": b"mine"}

    out = ("--out", "s3://drops/theirs", *BLOCKS)
    cut_off(home, store, store.kill_at(SHARD, count=20), *out)
    left = store.tree("theirs")
    monkeypatch.setenv("XDG_CACHE_HOME", str(home / "elsewhere"))
    message = failure("split", "drop.csv", *out, cwd=home)
    assert "expected no other run with this target, found process" in message
    assert "if it runs no longer, --restart removes what it has left" in message
    assert store.tree("theirs") == left
    fewer = (*out, "--restart", "--rows-per-shard", 500)
    sharder("split", "drop.csv", *fewer, cwd=home)
    found = [name for name in store.tree("theirs") if name.startswith("log_quest/splited/")]
    assert len(found) == 10
    assert ".log_quest.partial" not in store.tree("theirs")


def test_a_run_that_was_taken_over_publishes_nothing(
    home: Path, store: S3Server, monkeypatch: pytest.MonkeyPatch
) -> None:
    def split(**options: Any) -> SplitResult:
        return run(SplitConfig(sources=(home / "drop.csv",), out=out, **options))

    out, mark = ObjectPath("s3://drops/taken"), ".log_quest.partial"
    with (
        store.meanwhile(SHARD, lambda: store.put(f"taken/{mark}", OTHER_MARK)),
        pytest.raises(TargetError, match=r"taken it over: process 7 of elsewhere"),
    ):
        split(block_bytes=400, rows_per_shard=200, checkpoint_every=256)
    left = store.tree("taken")
    assert left.pop(mark) == OTHER_MARK
    assert 20 < len(left) < 25  # of 28: until the checkpoint
    assert tree(home / "cache") == {}

    def take_over() -> None:
        monkeypatch.setenv("XDG_CACHE_HOME", str(home / "elsewhere"))
        split(rows_per_shard=500, restart=True)
        theirs.update(store.tree("taken"))

    theirs: dict[str, bytes] = {}
    with (
        store.meanwhile("PUT .*/rejected/", take_over),
        pytest.raises(TargetError, match=r"with --restart, has taken it over, and has ended"),
    ):
        split(rows_per_shard=200, restart=True)
    assert store.tree("taken") == theirs
    sharder("verify", "s3://drops/taken/log_quest", cwd=home)


def test_an_answer_that_is_lost_is_asked_for_again(home: Path, store: S3Server) -> None:
    command = ("split", "drop.csv", "--out", "s3://drops/lost", *BLOCKS)
    with store.refusing("PUT .*/manifest.json", is_done=True, for_good=True):
        told = failure(*command, cwd=home)
        assert "Forbidden; perhaps all was done by then: the same command finds out\n" in told
        assert "manifest.json: expected to write here, found Forbidden" in failure(
            *command, cwd=home
        )
    whole = store.tree("lost")
    assert "an earlier run has done all of it" in sharder(*command, cwd=home).stderr
    assert whole.pop(".log_quest.partial")
    assert store.tree("lost") == whole
    assert tree(home / "cache") == {}
