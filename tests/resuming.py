"""Helpers of the tests of resume: runs that meet a fault at a certain moment, and what is left."""

from __future__ import annotations

import os
import random
import subprocess
import textwrap
from pathlib import Path

import numpy as np
from patience import PATIENCE_S
from support import write_dataset
from tensorboard.backend.event_processing.event_file_loader import EventFileLoader
from training import TRAINER

# A model with state of every kind: random numbers, moving averages of its own and of Adam's. Where
# FAULT says so, the process meets its end at the first of Python's audit events that matches: it
# is killed, interrupted or stopped, the disk is full, or the file that it opens has vanished or
# lost its end. Two faults have "; " between them.
MODEL = """
    import errno, os, re, signal, sys, time
    import keras
    import tensorflow

    def build(spec):
        for fault in filter(None, os.environ.get("FAULT", "").split("; ")):
            sys.addaudithook(lambda *event, fault=fault: meet(*fault.split(" at "), event))
        model = keras.Sequential([
            keras.Input((spec.width,)),
            keras.layers.Dense(16, activation="relu"),
            keras.layers.BatchNormalization(),
            keras.layers.Dropout(0.3),
            keras.layers.Dense(1, activation="sigmoid"),
        ])
        if "AVERAGES" in os.environ:
            model.compile(keras.optimizers.Adam(use_ema=True), "binary_crossentropy")
        if "TRACED_WHILE" in os.environ:
            model.compile("adam", trace_slowly)
        return model

    def trace_slowly(truth, found):
        if tensorflow.inside_function():
            print("tracing", file=sys.stderr, flush=True)
            while os.path.exists(os.environ["TRACED_WHILE"]):
                time.sleep(0.05)
        return keras.losses.binary_crossentropy(truth, found)

    def meet(fault, moment, event):
        if event[0] in ("open", "os.rename", "os.remove") and re.search(moment, repr(event)):
            if fault == "killed":
                os.kill(os.getpid(), signal.SIGKILL)
            if fault == "interrupted":
                os.kill(os.getpid(), signal.SIGINT)
            if fault == "stopped":
                os.kill(os.getpid(), signal.SIGSTOP)
            if fault == "full":
                raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
            if fault == "gone" and os.path.exists(event[1][0]):
                os.rename(event[1][0], event[1][0] + ".away")
            if fault == "cut":
                os.truncate(event[1][0], 100)
"""
# 150 steps an epoch, a checkpoint at 60 and at 120.
OPTIONS = ("--label", "clear", "--model", "own:build", "--epochs", "3", "--batch-size", "20",
           "--checkpoint-every", "60", "--workers", "1")  # fmt: skip


def make_home(home: Path) -> Path:
    """Write a dataset of 3,000 and 500 records and the module of the model; return `home`."""
    rng = random.Random(0)
    records = []
    for _ in range(3500):
        power = rng.gauss(100, 20)
        records.append([f"{power:.1f}", rng.choice("abc"), str(int(rng.gauss(power, 10) > 100))])
    write_dataset(
        home / "data/log",
        ["power", "class", "clear"],
        records[:3000],
        validate=records[3000:],
        rows_per_shard=100,
    )
    (home / "own.py").write_text(textwrap.dedent(MODEL))
    return home


def start_fit(
    home: Path, out: str, *options: object, dataset: str = "data/log", **environment: str
) -> subprocess.Popen[str]:
    """Start `trainer fit`; of an option that is given twice, the second counts."""
    return subprocess.Popen(
        [TRAINER, "fit", dataset, "--out", out, *OPTIONS, *map(str, options)],
        cwd=home,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        env=os.environ | environment,
    )


def fit(home: Path, out: str, *options: object, status: int = 0, **environment: str) -> str:
    """Run `trainer fit` to its end, and return what it told."""
    with start_fit(home, out, *options, **environment) as process:
        _, told = process.communicate(timeout=PATIENCE_S)
    assert process.returncode == status, told
    assert "Traceback" not in told
    return told


def scalars(run: Path) -> list[tuple[str, int, str, float]]:
    """Return what TensorBoard finds: side, step, tag and value of every scalar."""
    return [
        (path.parent.name, event.step, value.tag, value.tensor.float_val[0])
        for path in sorted((run / "tensorboard").rglob("events.*"))
        for event in EventFileLoader(str(path)).Load()
        for value in event.summary.value
    ]


def assert_same(run: Path, undisturbed: Path) -> None:
    """Check that two runs have the same weights and history, bit by bit, and left no debris."""
    assert_same_results(run, undisturbed)
    assert sorted(p.name for p in run.iterdir()) == sorted(p.name for p in undisturbed.iterdir())
    assert [p.name for p in (run / "checkpoints").iterdir()] == [
        p.name for p in (undisturbed / "checkpoints").iterdir()
    ]


def assert_same_results(run: Path, undisturbed: Path) -> None:
    """Check that two runs have the same weights and history, bit by bit."""
    import keras

    weights, expected = (
        keras.saving.load_model(path / "model.keras").get_weights() for path in (run, undisturbed)
    )
    assert len(weights) == len(expected)
    assert all(np.array_equal(*pair) for pair in zip(weights, expected, strict=True))
    assert (run / "history.csv").read_bytes() == (undisturbed / "history.csv").read_bytes()
    assert scalars(run) == scalars(undisturbed)


def children_of(pid: int) -> list[int]:
    """Return the process ids of the children of a process; none if it has none."""
    told = subprocess.run(["pgrep", "-P", str(pid)], capture_output=True, text=True, check=False)
    return [int(child) for child in told.stdout.split()]
