"""A run that was killed goes on where it was, and ends with the same bytes."""

from __future__ import annotations

import os
import shutil
import signal
import subprocess
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pytest
from hypothesis import given
from hypothesis import strategies as st
from killing import CHECKPOINT, OPTIONS, cut_off, write_log
from patience import PATIENCE_S
from splitting import SAMPLE, SHARDER, failure, sharder, trapped, tree

from shared.block_profile import profile_block
from shared.distinct import Distinct
from shared.profile import Profile
from shared.sketch import Limits
from shared.snapshot import pack, unpack
from shared.values import read_text

# Python prints what is raised in a finaliser, and goes on.
FINALISED = """
import os, signal, sys, time

class Finalised:
    def __del__(self):
        os.kill(os.getpid(), signal.SIGINT)
        time.sleep(1)

def look(event, arguments):
    if event == "os.rename" and str(arguments[1]).endswith("/.checkpoint"):
        Finalised()

sys.addaudithook(look)
"""


@pytest.fixture(scope="module")
def undisturbed(tmp_path_factory: pytest.TempPathFactory) -> Path:
    home = tmp_path_factory.mktemp("undisturbed")
    write_log(home)
    sharder("split", "drop.csv", *OPTIONS, cwd=home)
    return home


@pytest.fixture
def home(undisturbed: Path, tmp_path: Path) -> Path:
    """A directory with the same source."""
    shutil.copy2(undisturbed / "drop.csv", tmp_path)
    return tmp_path


def test_killed_again_and_again_it_ends_with_the_same_bytes(home: Path, undisturbed: Path) -> None:
    # Of half the size: a second checkpoint.
    small = ("--block-bytes", "200")
    cut_off(home, signal.SIGKILL, *small)
    for checkpoints in (0, 1):
        told = cut_off(home, signal.SIGKILL, *small, checkpoints=checkpoints)
        assert "going on at 40%" in told
    done = sharder("split", "drop.csv", *OPTIONS, *small, "--workers", 3, cwd=home)
    assert "going on at 80%" in done.stderr
    assert " kB of an earlier run" in done.stderr
    assert tree(home / "data") == tree(undisturbed / "data")
    assert "11 rejected" in done.stderr
    sharder("verify", "data/log_quest", cwd=home)


def test_it_goes_on_at_the_last_finished_block(home: Path, undisturbed: Path) -> None:
    each = ("--block-bytes", "8000", "--checkpoint-every", "1")  # some six shards a block
    cut_off(home, signal.SIGKILL, *each, checkpoints=5)
    size = (home / "drop.csv").stat().st_size
    told = cut_off(home, signal.SIGKILL, *each, checkpoints=7)
    assert f"going on at {5 * 8000 / size:.0%}" in told
    done = sharder("split", "drop.csv", *OPTIONS, *each[:2], cwd=home)
    assert f"going on at {12 * 8000 / size:.0%}" in done.stderr
    assert tree(home / "data") == tree(undisturbed / "data")


@pytest.mark.parametrize(
    ("source", "options"),
    [
        ("messy.csv", ("--block-bytes", "700", "--no-profile")),
        ("drop.csv", ("--group-by", "player", "--test-fraction", "0.2")),
    ],
)
def test_killed_runs_of_other_kinds_go_on(
    home: Path, source: str, options: tuple[str, ...]
) -> None:
    shutil.copy(SAMPLE, home / "messy.csv")
    sharder("split", source, *OPTIONS, *options, cwd=home)
    expected = tree(home / "data")
    shutil.rmtree(home / "data")
    cut_off(home, signal.SIGKILL, *options, source=source)
    done = sharder("split", source, *OPTIONS, *options, cwd=home)
    assert "going on at " in done.stderr
    assert tree(home / "data") == expected


def test_a_source_whose_name_is_no_utf8_is_gone_on_with(home: Path, undisturbed: Path) -> None:
    name = os.fsdecode(b"\xff.csv")
    (home / "drop.csv").rename(home / name)
    cut_off(home, source=name)
    done = sharder("split", name, *OPTIONS, cwd=home)
    assert "going on at " in done.stderr
    rejected = (home / "data/log_quest/rejected/reasons.csv").read_text()
    expected = (undisturbed / "data/log_quest/rejected/reasons.csv").read_text()
    assert rejected == expected.replace("drop.csv", "\\xff.csv")


def test_a_source_that_is_named_in_another_way_is_gone_on_with(
    home: Path, undisturbed: Path
) -> None:
    cut_off(home)
    done = sharder("split", home / "drop.csv", *OPTIONS, cwd=home)
    assert "going on at " in done.stderr
    assert tree(home / "data") == tree(undisturbed / "data")


def test_ctrl_c_keeps_what_is_done_and_says_so(home: Path, undisturbed: Path) -> None:
    said = cut_off(home, signal.SIGINT)
    assert said.endswith("interrupted; what is done is kept: the same command goes on from there\n")
    done = sharder("split", "drop.csv", *OPTIONS, cwd=home)
    assert "going on at " in done.stderr
    assert tree(home / "data") == tree(undisturbed / "data")


def test_ctrl_c_in_a_finaliser_is_not_lost(home: Path) -> None:
    env = trapped(home, signal.SIGINT)
    (home / "trap/sitecustomize.py").write_text(FINALISED)
    command = [SHARDER, "split", "drop.csv", *OPTIONS]
    done = subprocess.run(command, cwd=home, env=env, capture_output=True, timeout=PATIENCE_S)
    assert done.returncode == 130
    assert done.stderr.startswith(b"\nsharder: interrupted; what is done is kept")


@pytest.mark.parametrize("append", [False, True])
def test_a_source_that_has_changed_is_refused_until_the_run_is_begun_anew(
    home: Path, append: bool
) -> None:
    more = ("--append",) if append else ()
    if append:
        write_log(home, 500, name="first.csv", seed=1)
        sharder("split", "first.csv", *OPTIONS, cwd=home)
    cut_off(home, signal.SIGKILL, *more)
    with (home / "drop.csv").open("a") as file:
        file.write("5500,p1,1.5,late\n")
    message = failure("split", "drop.csv", *OPTIONS, *more, cwd=home)
    assert "bytes that the unfinished run has begun to split, found other bytes" in message
    assert (home / CHECKPOINT).exists()
    if append:
        sharder("verify", "data/log_quest", cwd=home)
    done = sharder("split", "drop.csv", *OPTIONS, *more, "--restart", cwd=home)
    assert ("drop 2: 5,512 records" if append else "5,512 records = ") in done.stderr


def test_other_options_begin_anew(home: Path) -> None:
    cut_off(home)
    done = sharder("split", "drop.csv", *OPTIONS, "--seed", 7, cwd=home)
    assert "an unfinished run is not gone on with: --seed was 0, and is 7 now" in done.stderr


def test_the_same_rule_said_in_another_way_goes_on(home: Path, undisturbed: Path) -> None:
    cut_off(home)
    done = sharder("split", "drop.csv", *OPTIONS, "--validate-fraction", "10%", cwd=home)
    assert "going on at " in done.stderr
    assert tree(home / "data") == tree(undisturbed / "data")


def test_a_run_that_is_refused_does_not_promise_to_go_on(home: Path) -> None:
    sharder("split", "drop.csv", *OPTIONS, cwd=home)
    cut_off(home, signal.SIGKILL, "--overwrite")
    message = failure("split", "drop.csv", *OPTIONS, cwd=home)
    assert message.endswith("--overwrite to replace it, or it to `trainer fit`\n")
    done = sharder("split", "drop.csv", *OPTIONS, "--overwrite", cwd=home)
    assert "going on at " in done.stderr


def damage_checkpoint(partial: Path) -> None:
    (partial / ".checkpoint").write_bytes((partial / ".checkpoint").read_bytes()[:-1])


def truncate_shard(partial: Path) -> None:
    os.truncate(partial / "log_quest/splited/split_data_00003.csv", 10)


def remove_rejected(partial: Path) -> None:
    (partial / "log_quest/rejected/records.csv").unlink()


def remove_side(partial: Path) -> None:
    shutil.rmtree(partial / "log_quest_validate")


@pytest.mark.parametrize(
    ("damage", "reason"),
    [
        (remove_side, "there is no directory of validate shards"),
        (damage_checkpoint, "it has no checkpoint"),
        (truncate_shard, "train shard split_data_00003.csv is not whole"),
        (remove_rejected, "records.csv is not whole"),
    ],
)
def test_what_a_killed_run_left_is_not_trusted_blindly(
    home: Path, undisturbed: Path, damage: object, reason: str
) -> None:
    cut_off(home)
    assert callable(damage)
    damage((home / CHECKPOINT).parent)
    done = sharder("split", "drop.csv", *OPTIONS, cwd=home)
    assert f"an unfinished run is not gone on with: {reason}" in done.stderr
    assert tree(home / "data") == tree(undisturbed / "data")


def test_a_stream_begins_anew_and_says_so(home: Path, undisturbed: Path) -> None:
    cut_off(home)
    source = (home / "drop.csv").read_bytes()
    done = sharder("split", "-", *OPTIONS, cwd=home, stdin=source)
    assert "a stream cannot be read again" in done.stderr
    splited = "data/log_quest/splited"
    assert tree(home / splited) == tree(undisturbed / splited)


fields = st.sampled_from(["1", "2.5", "-0", "0012", "x", "NA", "", "2025-04-01", "true", "9" * 17])


@given(st.lists(st.lists(st.tuples(fields, fields), min_size=1, max_size=6), max_size=5))
def test_a_profile_goes_on_as_if_it_had_never_been_on_disk(
    blocks: list[list[tuple[str, str]]],
) -> None:
    straight, saved = Profile.begin(["a", "b"]), Profile.begin(["a", "b"])
    for block in blocks:
        text = "".join(f'"{a}","{b}"\n' for a, b in block).encode()
        part = profile_block(["a", "b"], read_text(text, ["a", "b"]))
        straight.add(part)
        saved.add(part)
        saved = unpack(pack(saved), Profile)
    assert saved.columns() == straight.columns()


def test_frequent_values_are_counted_as_if_they_had_never_been_on_disk() -> None:
    # So many that the sketch forgets some of them, by a sample of a thousand.
    limits = Limits(values=10, text_bytes=100, hashes=64, lg_frequent=12)
    straight, saved = Distinct.begin(limits), Distinct.begin(limits)
    random, texts = np.random.default_rng(0), np.array([f"v{number}" for number in range(5000)])
    shares = np.arange(1, 5001) ** -0.5
    for _ in range(200):
        some = pa.array(random.choice(texts, 1000, replace=False, p=shares / shares.sum()))
        counts = random.integers(2, 9, 1000)
        for distinct in (straight, saved):
            distinct.add(some, counts, None)
        saved = unpack(pack(saved), Distinct)
    assert len(straight.top(100)) == 100
    assert saved.top(100) == straight.top(100)


@pytest.mark.parametrize("is_text", [False, True])
def test_counting_is_given_up_at_the_same_block_wherever_there_were_checkpoints(
    is_text: bool,
) -> None:
    limits = Limits(values=1000, text_bytes=8000, hashes=64, lg_frequent=12)
    straight, dumped, saved = (Distinct.begin(limits) for _ in range(3))
    random, given_up = np.random.default_rng(0), []
    for number in range(100):
        values: Any = np.sort(random.choice(np.arange(900 + 2 * number), 50, replace=False))
        if is_text:
            values = pa.array([f"v{value}" for value in values])
        for distinct in (straight, dumped, saved):
            distinct.add(values, np.full(50, 3), None)
        pack(dumped)
        saved = unpack(pack(saved), Distinct)
        given_up.append([d.tallies is None for d in (straight, dumped, saved)])
    assert given_up[0] == [False] * 3
    assert given_up[-1] == [True] * 3
    assert all(len(set(each)) == 1 for each in given_up)
