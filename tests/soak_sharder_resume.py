"""Kills of `sharder split` at random moments, many of them: `make soak` runs this.

KILLS in the environment says how many; each takes some two seconds.
"""

from __future__ import annotations

import os
import random
import shutil
import signal
import subprocess
from pathlib import Path

from splitting import SHARDER, sharder, tree
from test_sharder_resume import OPTIONS, write_log

VARIANTS: tuple[tuple[str, ...], ...] = (
    (),
    ("--no-profile",),
    ("--group-by", "player", "--test-fraction", "0.2"),
    ("--stratify", "comment", "--test-fraction", "0.2"),
    ("--time-column", "id", "--test-fraction", "0.2"),
    ("--shuffle", "--group-by", "player"),
)


def test_killed_at_random_moments_a_split_ends_with_the_same_bytes(tmp_path: Path) -> None:
    rng = random.Random(int(os.environ.get("SEED", "0")))
    write_log(tmp_path, 12_000)
    expected = []
    for variant in VARIANTS:
        sharder("split", "drop.csv", *OPTIONS, *variant, cwd=tmp_path)
        expected.append(tree(tmp_path / "data"))
        shutil.rmtree(tmp_path / "data")
    killed = finished = went_on = 0
    while killed < int(os.environ.get("KILLS", "50")):
        number = rng.randrange(len(VARIANTS))
        done = None
        while done is None or done.returncode:
            command = [SHARDER, "split", "drop.csv", *OPTIONS, *VARIANTS[number]]
            command += ["--workers", str(rng.randint(1, 4))]
            process = subprocess.Popen(
                command, cwd=tmp_path, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True
            )
            try:
                process.wait(rng.uniform(0.3, 5.0))
            except subprocess.TimeoutExpired:
                process.send_signal(rng.choice([signal.SIGKILL, signal.SIGTERM, signal.SIGINT]))
                killed += 1
            _, told = process.communicate(timeout=60)
            assert "Traceback" not in told
            went_on += "going on at" in told
            done = process
            # It may be killed behind its end, too. What it left then is removed by the next run.
            if (tmp_path / "data/log_quest/manifest.json").exists():
                sharder(*command[1:], cwd=tmp_path, status=1)
                break
        assert tree(tmp_path / "data") == expected[number]
        shutil.rmtree(tmp_path / "data")
        finished += 1
    print(f"{killed} kills, {went_on} runs went on, {finished} finished")
    assert went_on
