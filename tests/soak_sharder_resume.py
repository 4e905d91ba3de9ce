"""Kills of `sharder split` at random moments, many of them: `make soak` runs this.

KILLS in the environment says how many; each takes some three seconds of a processor.
"""

from __future__ import annotations

import os
import random
import shutil
import signal
import subprocess
import sys
import time
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from dask_cluster import Cluster
from killing import OPTIONS, write_log
from patience import PATIENCE_S
from splitting import SHARDER, sharder, tree

RECEIPT = Path("data/.log_quest.partial/.receipt")
MAKE_LOG = Path(__file__).parents[1] / "data/make_quest_log.py"
MESSY = ("--block-bytes", "1300", "--no-profile")
# What a cluster takes of the processors, as a multiple of what threads take.
CLUSTER_COST = 3
# While the interpreter ends, when all is done, SIGINT has its default effect again.
ENDS = (0, -signal.SIGKILL, -signal.SIGTERM, 128 + signal.SIGINT, -signal.SIGINT)
# Dask gives a task up with the fourth worker that is lost at it.
CLUSTER_ENDS = (*ENDS, 1)
# What is killed: source and options. What appends does so to a split of `first.csv`.
JOBS: dict[str, tuple[str, ...]] = {
    "plain": ("drop.csv",),
    "without profile": ("drop.csv", "--no-profile"),
    "messy": ("messy.csv", *MESSY),
    "grouped": ("drop.csv", "--group-by", "player", "--test-fraction", "0.2"),
    "stratified": ("drop.csv", "--stratify", "comment", "--test-fraction", "0.2"),
    "by time": ("drop.csv", "--time-column", "id", "--test-fraction", "0.2"),
    "shuffled": ("drop.csv", "--shuffle", "--group-by", "player"),
    "messy, shuffled": ("messy.csv", "--shuffle", *MESSY),
    "appended": ("drop.csv", "--append"),
    "appended, grouped": ("drop.csv", "--append", "--group-by", "player"),
    "cluster": ("drop.csv", "--scheduler"),
    "cluster, messy": ("messy.csv", "--scheduler", *MESSY),
    "cluster, appended": ("drop.csv", "--append", "--scheduler"),
}


@pytest.fixture
def cluster(tmp_path: Path) -> Iterator[Cluster]:
    (tmp_path / "cluster").mkdir()
    started = Cluster(tmp_path / "cluster")
    try:
        started.start_worker()
        started.start_worker()
        yield started
    finally:
        started.stop()


def test_killed_at_random_moments_a_split_ends_with_the_same_bytes(
    tmp_path: Path, cluster: Cluster
) -> None:
    rng = random.Random(int(os.environ.get("SEED", "0")))
    home = tmp_path / "home"
    home.mkdir()
    write_log(home, 6_000)
    write_log(home, 1_000, name="first.csv", seed=1)
    make = [sys.executable, str(MAKE_LOG), "--records", "2500", "--messy", "--out", "messy.csv"]
    subprocess.run(make, cwd=home, check=True)
    undisturbed: dict[tuple[str, ...], tuple[dict[str, bytes], float]] = {}
    kills, went_on, were_done, finished = (Counter[str]() for _ in range(4))
    while kills.total() < int(os.environ.get("KILLS", "50")):
        name = rng.choice(list(JOBS))
        same = without_cluster(JOBS[name])
        if same not in undisturbed:
            undisturbed[same] = run_undisturbed(home, same)
        expected, seconds = undisturbed[same]
        seconds *= CLUSTER_COST if "--scheduler" in JOBS[name] else 1
        before = begin(home, JOBS[name])
        while manifest(home) == before or (home / RECEIPT).exists():
            times, told = run_and_kill(home, JOBS[name], cluster, rng, seconds)
            kills[name] += times
            went_on[name] += "going on at" in told
            were_done[name] += "an earlier run has done all of it" in told
            if before:  # what is appended to is whole until the new dataset is
                sharder("verify", "data/log_quest", cwd=home)
            print(f"{kills.total()} kills: {name}", flush=True)
        # Given once more, it is refused, and clears up what was left behind the end.
        sharder("split", *spell(JOBS[name], cluster), cwd=home, status=1)
        assert tree(home / "data") == expected, name
        finished[name] += 1
    for name in JOBS:
        print(
            f"{name}: {kills[name]} kills, {went_on[name]} went on, "
            f"{were_done[name]} were done, {finished[name]} finished"
        )
    assert went_on.total()


def run_and_kill(
    home: Path, job: tuple[str, ...], cluster: Cluster, rng: random.Random, seconds: float
) -> tuple[int, str]:
    """Run a job, and kill it or a worker of its cluster at random moments.

    Returns how many kills there were, and what the job told.
    """
    kills = 0
    more = ("--workers", str(rng.randint(1, 4)), "--checkpoint-every", str(rng.choice([0, 4, 32])))
    # Twice the seconds, since where much else runs a processor does less in a second.
    with start(home, job, cluster, *more) as process:
        while wait(process, cluster, rng.uniform(0.2, 2 * seconds)) is None:
            kills += 1
            if "--scheduler" not in job or rng.random() < 0.5:
                process.send_signal(rng.choice([signal.SIGKILL, signal.SIGTERM, signal.SIGINT]))
                break
            cluster.kill_worker(rng.randrange(len(cluster.workers)))
            cluster.start_worker()
        _, told = process.communicate(timeout=PATIENCE_S)
    assert process.returncode in (CLUSTER_ENDS if "--scheduler" in job else ENDS), told
    assert "Traceback" not in told
    return kills, told


def run_undisturbed(home: Path, job: tuple[str, ...]) -> tuple[dict[str, bytes], float]:
    """Return what a job gives, and the seconds of processors that it takes."""
    begin(home, job)
    seconds = 0.0
    with start(home, job) as process:
        while process.poll() is None:
            seconds = cpu_seconds(process)
            time.sleep(0.05)
    assert process.returncode == 0
    return tree(home / "data"), seconds


def without_cluster(job: tuple[str, ...]) -> tuple[str, ...]:
    """Return the job with the same result that runs on threads."""
    return tuple(option for option in job if option != "--scheduler")


def begin(home: Path, job: tuple[str, ...]) -> bytes:
    """Lay out what is there before a job, and return its manifest, if there is one."""
    shutil.rmtree(home / "data", ignore_errors=True)
    if "--append" in job:
        rule = [option for option in without_cluster(job)[1:] if option != "--append"]
        before = home / " ".join(["before", *rule])
        if not before.exists():
            sharder("split", "first.csv", *OPTIONS, *rule, cwd=home)
            (home / "data").rename(before)
        shutil.copytree(before, home / "data")
    return manifest(home)


def manifest(home: Path) -> bytes:
    path = home / "data/log_quest/manifest.json"
    return path.read_bytes() if path.exists() else b""


def spell(job: tuple[str, ...], cluster: Cluster | None) -> list[str]:
    """Return the arguments of a job."""
    words = [*job[:1], *OPTIONS, *job[1:]]
    if cluster and "--scheduler" in words:
        words.insert(words.index("--scheduler") + 1, str(cluster.file))
    return words


def start(
    home: Path, job: tuple[str, ...], cluster: Cluster | None = None, *more: str
) -> subprocess.Popen[str]:
    command = [SHARDER, "split", *spell(job, cluster), *more]
    return subprocess.Popen(
        command, cwd=home, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True
    )


def wait(process: subprocess.Popen[str], cluster: Cluster, seconds: float) -> int | None:
    """Wait until a run has taken so many seconds of processors, or has ended: its exit status.

    By the clock, the moment would depend on what else the machine does.
    """
    until = cpu_seconds(process, *cluster.workers) + seconds
    while process.poll() is None and cpu_seconds(process, *cluster.workers) < until:
        time.sleep(0.02)
    return process.returncode


def cpu_seconds(*processes: subprocess.Popen[Any]) -> float:
    """Return the seconds of processors that processes have taken together."""
    ticks = 0
    for process in processes:
        # Behind the name, which may have spaces, the twelfth is user and the next system time.
        fields = Path(f"/proc/{process.pid}/stat").read_text().rpartition(")")[2].split()
        ticks += int(fields[11]) + int(fields[12])
    return ticks / os.sysconf("SC_CLK_TCK")
