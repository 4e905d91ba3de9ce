"""What a run takes of memory, and what it would do: `--memory` and `--dry-run`."""

from __future__ import annotations

import re
from pathlib import Path

import pytest
from measuring import run_measured
from splitting import SAMPLE, SHARDER, failure, sharder, tree, write

from sharder.sources.piece import ROUND_PIECES

OPTIONS = ("--workers", 2, "--rows-per-shard", 20_000)


@pytest.fixture(scope="module")
def large(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A directory with a source of 120 MB."""
    home = tmp_path_factory.mktemp("large")
    header, _, body = SAMPLE.read_bytes().partition(b"\n")
    with (home / "large.csv").open("wb") as file:
        file.write(header + b"\n")
        for _ in range(120_000_000 // len(body)):
            file.write(body)
    return home


def test_a_run_keeps_to_its_memory_and_the_shards_do_not_depend_on_it(large: Path) -> None:
    shards = []
    for asked, profile in ((192, "--profile"), (320, "--no-profile")):
        options = ("--out", asked, "--memory", f"{asked}MiB", profile, *OPTIONS)
        status, said, peak = run_measured((SHARDER, "split", "large.csv", *options), large)
        assert status == 0
        assert peak <= 1.2 * asked
        (told,) = re.findall(rf"at most (\d+) MiB of memory \(--memory {asked} MiB\)", said)
        assert int(told) == pytest.approx(peak, abs=4)
        shards.append(tree(large / f"{asked}" / "log_quest" / "splited"))
    assert shards[0] == shards[1]


def test_where_memory_is_short_there_are_fewer_workers(tmp_path: Path) -> None:
    options = ("--workers", 16, "--memory", "200MiB", "--dry-run")
    done = sharder("split", SAMPLE, "--out", "data", *options, cwd=tmp_path)
    assert "5 workers, 6 blocks under way at once: at most about 200 MiB" in done.stderr


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
    done = sharder("split", "drop.csv", "--out", "data", *options, cwd=tmp_path)
    assert done.stdout == ""
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
    assert float(found[6]) < 60
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
