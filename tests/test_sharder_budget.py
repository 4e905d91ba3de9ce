"""What a run takes of memory, and what it would do: `--memory` and `--dry-run`."""

from __future__ import annotations

import gzip
import re
from pathlib import Path

import pytest
from measuring import run_measured
from splitting import SAMPLE, SHARDER, failure, sharder, tree, write

from sharder.sources.piece import ROUND_PIECES

OPTIONS = ("--rows-per-shard", 2000)
RULES = """
def clean(records):
    return records.assign(hour=records["started_at"].str[11:13])
"""
# What is run, and within how many MiB: so few that a source of 60 MB has many blocks.
RUNS: dict[str, tuple[int, tuple[object, ...]]] = {
    "with a profile": (192, ("large.csv", "--workers", 2)),
    "without": (224, ("large.csv", "--workers", 2, "--no-profile")),
    "four workers": (224, ("large.csv", "--workers", 4)),
    "four workers, without": (224, ("large.csv", "--workers", 4, "--no-profile")),
    "grouped": (192, ("large.csv", "--workers", 2, "--group-by", "player_id")),
    "stratified": (192, ("large.csv", "--workers", 2, "--stratify", "clear")),
    "by time": (192, ("large.csv", "--workers", 2, "--time-column", "started_at")),
    "shuffled": (224, ("large.csv", "--workers", 2, "--shuffle")),
    "gzip": (224, ("large.csv.gz", "--workers", 2)),
    "cp932": (224, ("cp932.csv", "--workers", 2, "--encoding", "cp932")),
    "cleaned": (224, ("part.csv", "--workers", 2, "--clean", "my_rules:clean")),
}


@pytest.fixture(scope="module")
def large(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A directory with a source of 60 MB, packed and in another encoding, too, and a part of it."""
    home = tmp_path_factory.mktemp("large")
    header, _, body = SAMPLE.read_bytes().partition(b"\n")
    text = header + b"\n" + body * (60_000_000 // len(body))
    write(home, text, "large.csv")
    write(home, gzip.compress(text, 1), "large.csv.gz")
    write(home, text.decode().encode("cp932", errors="replace"), "cp932.csv")
    write(home, header + b"\n" + body * (30_000_000 // len(body)), "part.csv")
    write(home, RULES, "my_rules.py")
    return home


@pytest.mark.parametrize("name", RUNS)
def test_a_run_keeps_to_its_memory(large: Path, name: str) -> None:
    asked, options = RUNS[name]
    command = (SHARDER, "split", *options, *OPTIONS, "--out", name, "--memory", f"{asked}MiB")
    done = run_measured(command, large)
    assert done.status == 0, done.stderr
    assert 0 < done.peak <= asked
    (told,) = re.findall(rf"at most (\d+) MiB of memory \(--memory {asked} MiB\)", done.stderr)
    assert int(told) == pytest.approx(done.peak, abs=4)


def test_the_shards_do_not_depend_on_the_memory(large: Path) -> None:
    shards = []
    for asked in (192, 320):
        options = ("--out", asked, "--memory", f"{asked}MiB", *OPTIONS)
        sharder("split", "part.csv", *options, cwd=large)
        shards.append(tree(large / f"{asked}" / "log_quest" / "splited"))
    assert shards[0] == shards[1]


@pytest.mark.parametrize(
    ("options", "blocks", "times"),
    [
        ((), 3, 8),
        (("--no-profile",), 4, 8),
        (("--encoding", "cp932"), 3, 12),
        (("--clean", "my_rules:clean"), 3, 16),
    ],
)
def test_what_is_foreseen_is_what_the_reference_says(
    large: Path, options: tuple[str, ...], blocks: int, times: int
) -> None:
    source = "cp932.csv" if "cp932" in options else "large.csv"
    usual = ("--workers", 2, "--block-bytes", "8MiB", *OPTIONS, "--out", "none", "--dry-run")
    told = sharder("split", source, *usual, *options, cwd=large).stderr
    (found,) = re.findall(r"at most about ([\d,]+) MiB of memory", told)
    # And the records of three shards.
    assert 0 <= int(found.replace(",", "")) - (blocks * times * 8 + 155) <= 3


def test_where_memory_is_short_there_are_fewer_workers(tmp_path: Path) -> None:
    options = ("--workers", 16, "--memory", "200MiB", "--dry-run")
    done = sharder("split", SAMPLE, "--out", "data", *options, cwd=tmp_path)
    assert "4 workers, 5 blocks under way at once: at most about 198 MiB" in done.stderr


def test_too_little_memory_is_refused_with_what_to_do(tmp_path: Path) -> None:
    options = ("--out", "data", "--memory", "100MiB")
    assert (
        "--memory: expected at least 157 MiB for a split of this source, found 100 MiB"
        in failure("split", SAMPLE, *options, cwd=tmp_path)
    )
    both = sharder("split", SAMPLE, *options, "--block-bytes", 9, cwd=tmp_path, status=2)
    assert "--memory: expected no --block-bytes beside it" in both.stderr
    with write(tmp_path, "n\n1\n").open("r+b") as file:
        file.truncate(10**10)
    message = failure("split", "drop.csv", *options, cwd=tmp_path)
    assert "a larger --rows-per-shard makes fewer than " in message
    assert list(tmp_path.iterdir()) == [tmp_path / "drop.csv"]


def test_ten_terabytes_are_planned_in_a_moment_and_in_little_memory(tmp_path: Path) -> None:
    with write(tmp_path, SAMPLE.read_bytes()).open("r+b") as file:
        file.truncate(10**13)  # a hole: a few pages on disk
    options = ("--rows-per-shard", 10_000, "--dry-run")
    done = run_measured((SHARDER, "split", "drop.csv", "--out", "data", *options), tmp_path)
    assert done.status == 0, done.stderr
    assert done.stdout == ""
    assert 0 < done.peak < 150
    found = re.fullmatch(
        r"10\.0 TB: about ([\d,]+) shards\n"
        r"([\d,]+) blocks of 146 MiB: ([\d,]+) tasks in ([\d,]+) graphs, the largest of ([\d,]+), "
        r"built in ([\d.]+) s\n"
        r"\d+ workers, \d+ blocks under way at once: at most about [\d,]+ MiB of memory\n"
        r"nothing was written\n",
        done.stderr,
    )
    assert found, done.stderr
    shards, blocks, tasks, graphs, largest = (int(n.replace(",", "")) for n in found.groups()[:5])
    assert 4_000_000 < shards < 5_000_000
    assert blocks <= 1 << 16
    assert graphs == -(-blocks // ROUND_PIECES)
    assert tasks < 12 * blocks + 12 * graphs
    assert largest < 12 * ROUND_PIECES + 12
    # 3 s, of which that many are the graphs, on a machine that has nothing else to do.
    assert float(found[6]) > 0
    assert done.cpu_s < 60
    assert list(tmp_path.iterdir()) == [tmp_path / "drop.csv"]


def test_the_plan_of_a_stream_says_what_is_not_known(tmp_path: Path) -> None:
    done = sharder(
        *("split", "-", SAMPLE, "--out", "data", "--dry-run"),
        cwd=tmp_path,
        stdin=SAMPLE.read_bytes(),
    )
    assert "stdin: a stream, cut into blocks of 8 MiB as it comes\n" in done.stderr
    assert "1 block of 8 MiB: " in done.stderr
    assert not (tmp_path / "data").exists()
