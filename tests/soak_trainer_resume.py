"""Kills at random moments, many of them: `make soak` runs this, the normal run does not.

KILLS in the environment says how many; each takes some ten seconds.
"""

from __future__ import annotations

import contextlib
import os
import random
import shutil
import signal
import subprocess
import time
from pathlib import Path

from resuming import assert_same, assert_same_results, children_of, fit, make_home, start_fit


def test_killed_at_random_moments_runs_end_like_one_that_was_not(tmp_path: Path) -> None:
    home = make_home(tmp_path)
    rng = random.Random(int(os.environ.get("SEED", "0")))
    options = ("--checkpoint-every", 7, "--epochs", 6)
    fit(home, "undisturbed", *options)
    killed = finished = 0
    while killed < int(os.environ.get("KILLS", "50")):
        with start_fit(home, "run", *options) as process:
            assert process.stderr is not None
            told = ""
            # Most of them in training and at its end, some at any time.
            while rng.random() < 0.9 and "training records" not in told and process.poll() is None:
                told += process.stderr.readline()
            try:
                process.wait(rng.uniform(0.0, 8.0))
            except subprocess.TimeoutExpired:
                process.send_signal(rng.choice([signal.SIGKILL, signal.SIGKILL, signal.SIGINT]))
                killed += 1
            told += process.stderr.read()
        assert "Traceback" not in told
        # Behind its end, a signal meets Python itself.
        ends = (0, -signal.SIGKILL, 128 + signal.SIGINT, -signal.SIGINT)
        assert process.returncode in ends, told
        if process.returncode == 0:
            assert_same(home / "run", home / "undisturbed")
        if (home / "run/run.json").exists():  # it may be killed behind its end, too
            assert_same_results(home / "run", home / "undisturbed")
            shutil.rmtree(home / "run")
            finished += 1
        told_where = [line for line in told.splitlines() if "goes on" in line]
        print(f"{killed} kills, {finished} runs finished:", *told_where)
    fit(home, "run", *options)
    assert_same(home / "run", home / "undisturbed")


def test_workers_killed_at_random_change_nothing(tmp_path: Path) -> None:
    home = make_home(tmp_path)
    rng = random.Random(int(os.environ.get("SEED", "0")))
    # The cache would make workers needless after an epoch.
    options = ("--cache", "off", "--workers", 2, "--epochs", 12)
    fit(home, "undisturbed", *options)
    killed = stopped = finished = 0
    while killed < int(os.environ.get("KILLS", "50")):
        with start_fit(home, "run", *options) as process:
            while process.poll() is None:
                time.sleep(rng.uniform(0.5, 3.0))
                if workers := children_of(process.pid):
                    with contextlib.suppress(ProcessLookupError):
                        os.kill(rng.choice(workers), signal.SIGKILL)
                        killed += 1
            _, told = process.communicate()
        assert "Traceback" not in told
        if process.returncode:
            # At one place three times: where the machine is slow, a worker may never have started.
            assert "expected a worker that gets through, found 3 that did not" in told
            stopped += 1
        else:
            assert_same(home / "run", home / "undisturbed")
            shutil.rmtree(home / "run")
            finished += 1
        print(f"{killed} workers killed, {stopped} runs stopped, {finished} runs finished")
    if (home / "run").exists():
        fit(home, "run", *options)
        assert_same(home / "run", home / "undisturbed")
