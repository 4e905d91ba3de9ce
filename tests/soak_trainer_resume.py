"""Kills at random moments, many of them: `make soak` runs this, the normal run does not.

KILLS in the environment says how many; each takes some ten seconds.
"""

from __future__ import annotations

import os
import random
import shutil
import signal
import subprocess
from pathlib import Path

from resuming import assert_same, fit, make_home, start_fit


def test_killed_at_random_moments_runs_end_like_one_that_was_not(tmp_path: Path) -> None:
    home = make_home(tmp_path)
    rng = random.Random(int(os.environ.get("SEED", "0")))
    options = ("--checkpoint-every", 7, "--epochs", 6)
    fit(home, "undisturbed", *options)
    killed = finished = 0
    while killed < int(os.environ.get("KILLS", "50")):
        # What a kill does between two system calls, too: at any time at all of the whole run.
        with start_fit(home, "run", *options) as process:
            try:
                _, told = process.communicate(timeout=rng.uniform(4.0, 12.0))
                assert process.returncode == 0, told
            except subprocess.TimeoutExpired:
                process.send_signal(rng.choice([signal.SIGKILL, signal.SIGKILL, signal.SIGINT]))
                _, told = process.communicate()
                killed += 1
        print(killed, finished, [line for line in told.splitlines() if "goes on" in line])
        if process.returncode == 0:
            assert_same(home / "run", home / "undisturbed")
            shutil.rmtree(home / "run")
            finished += 1
        else:
            assert "Traceback" not in told
    fit(home, "run", *options)
    assert_same(home / "run", home / "undisturbed")
