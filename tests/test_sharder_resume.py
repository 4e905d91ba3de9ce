"""A run that was killed goes on where it was, and ends with the same bytes."""

from __future__ import annotations

import os
import shutil
import signal
import subprocess
import time
from pathlib import Path
from random import Random

import pytest
from hypothesis import given
from hypothesis import strategies as st
from splitting import SHARDER, failure, sharder, tree, write

from shared.block_profile import profile_block
from shared.profile import Profile
from shared.snapshot import pack, unpack
from shared.values import read_text

# So small that the source has nine hundred blocks, and a checkpoint after each 256 of them.
OPTIONS = ("--out", "data", "--block-bytes", "400", "--rows-per-shard", "50")
CHECKPOINT = Path("data/.log_quest.partial/.checkpoint")


def write_log(directory: Path, records: int = 12_000) -> None:
    random = Random(0)
    lines = ["id,player,score,comment"]
    for number in range(records):
        score = "" if number % 7 == 0 else f"{random.gauss(10, 3):.3f}"
        comment = '"a ""b"",\nc"' if number % 11 == 0 else f"word {random.randrange(30)}"
        lines.append(f"{number},p{random.randrange(400)},{score},{comment}")
        if number % 500 == 0:
            lines.append(f"bad,{number}")
    write(directory, "\n".join(lines) + "\n")


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


def start(
    home: Path, *, checkpoints: int = 1, source: str = "drop.csv", options: tuple[str, ...] = ()
) -> subprocess.Popen[bytes]:
    """Start a run, and wait until it has written so many checkpoints."""
    process = subprocess.Popen(
        [SHARDER, "split", source, *OPTIONS, *options], cwd=home, stderr=subprocess.PIPE
    )
    seen: set[int] = set()
    deadline = time.monotonic() + 60
    while len(seen) < checkpoints:
        assert process.poll() is None
        assert time.monotonic() < deadline
        if (home / CHECKPOINT).exists():
            seen.add((home / CHECKPOINT).stat().st_ino)
        time.sleep(0.001)
    return process


def end(process: subprocess.Popen[bytes], number: int) -> str:
    os.kill(process.pid, number)
    _, stderr = process.communicate(timeout=60)
    return stderr.decode()


def test_killed_again_and_again_it_ends_with_the_same_bytes(home: Path, undisturbed: Path) -> None:
    random = Random(1)
    for checkpoints in (1, 1, 2):
        process = start(home, checkpoints=checkpoints)
        time.sleep(random.random() * 0.2)
        end(process, signal.SIGKILL)
    done = sharder("split", "drop.csv", *OPTIONS, "--workers", 3, cwd=home)
    assert "going on at " in done.stderr
    assert " MB of an earlier run" in done.stderr
    assert tree(home / "data") == tree(undisturbed / "data")
    assert "24 rejected" in done.stderr
    sharder("verify", "data/log_quest", cwd=home)


def test_a_source_whose_name_is_no_utf8_is_gone_on_with(home: Path, undisturbed: Path) -> None:
    name = os.fsdecode(b"\xff.csv")
    (home / "drop.csv").rename(home / name)
    end(start(home, source=name), signal.SIGKILL)
    done = sharder("split", name, *OPTIONS, cwd=home)
    assert "going on at " in done.stderr
    rejected = (home / "data/log_quest/rejected/reasons.csv").read_text()
    expected = (undisturbed / "data/log_quest/rejected/reasons.csv").read_text()
    assert rejected == expected.replace("drop.csv", "\\xff.csv")


def test_ctrl_c_keeps_what_is_done_and_says_so(home: Path, undisturbed: Path) -> None:
    said = end(start(home), signal.SIGINT)
    assert said.endswith("interrupted; what is done is kept: the same command goes on from there\n")
    done = sharder("split", "drop.csv", *OPTIONS, cwd=home)
    assert "going on at " in done.stderr
    assert tree(home / "data") == tree(undisturbed / "data")


def test_a_source_that_has_changed_is_refused_until_the_run_is_begun_anew(home: Path) -> None:
    end(start(home), signal.SIGKILL)
    with (home / "drop.csv").open("a") as file:
        file.write("12000,p1,1.5,late\n")
    message = failure("split", "drop.csv", *OPTIONS, cwd=home)
    assert "bytes that the unfinished run has begun to split, found other bytes" in message
    assert (home / CHECKPOINT).exists()
    done = sharder("split", "drop.csv", *OPTIONS, "--restart", cwd=home)
    assert "12,025 records = " in done.stderr


def test_other_options_begin_anew(home: Path) -> None:
    end(start(home), signal.SIGKILL)
    done = sharder("split", "drop.csv", *OPTIONS, "--seed", 7, cwd=home)
    assert "an unfinished run is not gone on with: --seed was 0, and is 7 now" in done.stderr


def test_a_run_that_is_refused_does_not_promise_to_go_on(home: Path) -> None:
    sharder("split", "drop.csv", *OPTIONS, cwd=home)
    process = start(home, options=("--overwrite",))
    end(process, signal.SIGKILL)
    message = failure("split", "drop.csv", *OPTIONS, cwd=home)
    assert message.endswith("give another --name or --out, or --overwrite to replace it\n")
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
    end(start(home), signal.SIGKILL)
    assert callable(damage)
    damage((home / CHECKPOINT).parent)
    done = sharder("split", "drop.csv", *OPTIONS, cwd=home)
    assert f"an unfinished run is not gone on with: {reason}" in done.stderr
    assert tree(home / "data") == tree(undisturbed / "data")


def test_a_stream_begins_anew_and_says_so(home: Path, undisturbed: Path) -> None:
    end(start(home), signal.SIGKILL)
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
