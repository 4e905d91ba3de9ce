"""Runs that are killed, interrupted and starved go on, and end as if nothing had been."""

from __future__ import annotations

import csv
import dataclasses
import json
import os
import re
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import pytest
from feeding import alive
from patience import PATIENCE_S
from resuming import assert_same, children_of, fit, make_home, start_fit
from support import write_dataset

from shared.errors import ShardfitError
from trainer.config import FitConfig
from trainer.fit import run as run_fit

FINISHED = ["checkpoints", "features.toml", "history.csv", "model.keras", "run.json", "tensorboard"]


@pytest.fixture(scope="module")
def home(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A directory with a dataset, and the run `undisturbed`."""
    home = make_home(tmp_path_factory.mktemp("resume"))
    fit(home, "undisturbed")
    return home


def names(directory: Path) -> list[str]:
    return sorted(path.name for path in directory.iterdir())


def goes_on(told: str) -> str:
    """Return where a run said that it goes on."""
    found = re.search(r"goes on (.+)", told)
    return found[1] if found else "nowhere"


def test_a_run_cut_off_again_and_again_ends_like_one_that_was_not(home: Path) -> None:
    run = home / "cut"
    told = fit(home, "cut", status=1, FAULT="full at rename.*batch-000000120")
    assert "batch-000000120.state: expected to write a checkpoint, found No space left" in told
    assert names(run / "checkpoints") == ["epoch-00000-batch-000000060.state"]

    # While a checkpoint is written: it lies there, but not under its name.
    told = fit(home, "cut", status=-signal.SIGKILL, FAULT="killed at rename.*batch-000000120")
    assert goes_on(told) == "at epoch 1, batch 61 of 150"
    assert names(run / "checkpoints") == ["epoch-00000-batch-000000060.state", "tmp.state"]

    # In validation, and from the shards: without workers, the process that is to be killed opens
    # them itself.
    moment = "killed at open.*log_validate.*split_data_00003"
    shards = ("--workers", 0, "--cache", "off")
    told = fit(home, "cut", *shards, status=-signal.SIGKILL, FAULT=moment)
    assert goes_on(told) == "at epoch 1, batch 61 of 150"

    # When the next one is complete, and the oldest is removed.
    told = fit(home, "cut", status=-signal.SIGKILL, FAULT="killed at remove.*batch-000000150")
    assert goes_on(told) == "at epoch 1, validation"
    newest = run / "checkpoints/epoch-00001-batch-000000060.state"
    newest.write_bytes(newest.read_bytes()[:-1000])

    # When all is done, and the model is saved.
    told = fit(home, "cut", status=-signal.SIGKILL, FAULT="killed at rename.*model.keras")
    assert f"{newest.relative_to(home)}: damaged (its checksum is another), so the check" in told
    assert goes_on(told) == "at epoch 2, batch 1 of 150"
    assert "run.json" not in names(run)

    assert goes_on(fit(home, "cut")) == "with the saving of the model"
    assert names(run) == FINISHED
    assert_same(run, home / "undisturbed")


def test_ctrl_c_and_sigterm_lose_nothing(home: Path) -> None:
    run = home / "stopped"
    shards, fault = ("--workers", 2, "--cache", "off"), "stopped at rename.*00000-batch-000000060"
    with start_fit(home, "stopped", *shards, FAULT=fault) as process:
        assert os.WIFSTOPPED(os.waitpid(process.pid, os.WUNTRACED)[1])
        # Workers that are stuck, so that the run waits for them.
        workers = children_of(process.pid)
        assert len(workers) == 2
        for worker in workers:
            os.kill(worker, signal.SIGSTOP)
        process.send_signal(signal.SIGCONT)
        refused = fit(home, "stopped", status=1)
        assert re.search(
            rf"stopped: expected no other run with this target, found process {process.pid}, "
            r"which has held it since \d{4}-\d\d-\d\d \d\d:\d\d:\d\d; wait for it",
            refused,
        )
        told = interrupt(process, signal.SIGINT, status=130)
    assert alive(workers) == []
    place = goes_on(told)
    assert re.fullmatch(r"at epoch \d, (batch \d+ of 150|validation)", place)
    assert set(names(run)) <= set(FINISHED) - {"run.json"}
    fault = "stopped at rename.*00001-batch-000000060"
    with start_fit(home, "stopped", FAULT=fault) as process:
        assert os.WIFSTOPPED(os.waitpid(process.pid, os.WUNTRACED)[1])
        process.send_signal(signal.SIGCONT)
        told = interrupt(process, signal.SIGTERM, status=143)
    assert re.findall("goes on (.+)", told) == [place, goes_on(fit(home, "stopped"))]
    assert_same(run, home / "undisturbed")


def test_ctrl_c_does_not_wait_until_a_model_is_traced(home: Path) -> None:
    gate = home / "gate"
    gate.touch()  # and never goes
    shards = ("--workers", 2, "--cache", "off")
    with start_fit(home, "traced", *shards, TRACED_WHILE=str(gate)) as process:
        assert process.stderr is not None
        while process.stderr.readline() != "tracing\n":
            assert process.poll() is None
        workers = children_of(process.pid)
        assert len(workers) == 2
        told = interrupt(process, signal.SIGINT, status=130)
    assert alive(workers) == []
    assert goes_on(told) == "at epoch 1, batch 1 of 150"
    assert not (home / "traced/.lock").exists()


def interrupt(process: subprocess.Popen[str], number: signal.Signals, *, status: int) -> str:
    """Send a signal, and return what the program told in the end."""
    before, start_s = slowdown(), time.monotonic()
    process.send_signal(number)
    _, told = process.communicate(timeout=PATIENCE_S)
    seconds = time.monotonic() - start_s
    # 2 s are promised, and 0.2 s are usual, on a machine that has nothing else to do.
    assert seconds < 5 * max(before, slowdown())
    assert process.returncode == status
    assert "Traceback" not in told
    assert "trainer: interrupted; the same command goes on at epoch" in told
    return told


def slowdown() -> float:
    """Return how many times longer than its CPU time a program takes here at the moment."""
    start_s, used_s = time.monotonic(), time.process_time()
    while time.process_time() - used_s < 0.1:
        pass
    return max((time.monotonic() - start_s) / 0.1, 1.0)


def test_steps_in_one_call_give_the_same_and_go_on_anywhere(home: Path) -> None:
    calls = ("--steps-per-execution", 16)
    # At the first end of a call behind 120 batches. The last call of an epoch makes 6 steps.
    moment = "killed at rename.*epoch-00001-batch-000000128"
    fit(home, "calls", *calls, status=-signal.SIGKILL, FAULT=moment)
    told = fit(home, "calls", "--steps-per-execution", 7)
    assert goes_on(told) == "at epoch 2, batch 65 of 150"
    assert_same(home / "calls", home / "undisturbed")

    told = fit(home, "no-number", *calls, "--learning-rate", "1e38", status=1)
    assert re.search(
        r"epoch 1, one of batches 1 to 16 \(\S+/split_data_\d{5}.csv and 29 more\): expected a "
        r"finite loss, .* with --steps-per-execution 1, the same command finds out which",
        told,
    )


def test_more_epochs_go_on_with_a_finished_run(home: Path) -> None:
    for out in ("longer", "longer-cut"):
        shutil.copytree(home / "undisturbed", home / out)
    # A copy of the dataset elsewhere is the same dataset.
    shutil.copytree(home / "data", home / "copy")
    told = fit(home, "longer", "--more-epochs", 1, "--epochs", 20)  # of the first three, no word
    assert goes_on(told) == "at epoch 4, batch 1 of 150"

    moment = "killed at rename.*00003-batch-000000120"
    told = fit(home, "longer-cut", "--more-epochs", 1, status=-signal.SIGKILL, FAULT=moment)
    # Until the new model is there, the old one is still good.
    assert names(home / "longer-cut") == [".lock", *FINISHED]
    told = fit(home, "longer-cut", "--more-epochs", 1, dataset="copy/log")
    assert goes_on(told) == "at epoch 4, batch 61 of 150"
    assert_same(home / "longer-cut", home / "longer")

    history = (home / "longer/history.csv").read_text().splitlines()
    assert history[:4] == (home / "undisturbed/history.csv").read_text().splitlines()
    assert [line.split(",")[0] for line in history] == ["epoch", "0", "1", "2", "3"]
    # A cosine of its own, that ends at zero.
    assert float(history[4].split(",")[-1]) == pytest.approx(0, abs=1e-9)


def test_the_monitored_metric_tells_the_best_epoch_and_the_rate_warms_up(home: Path) -> None:
    options = ("--monitor", "accuracy", "--warmup", 0.5, "--epochs", 4, "--batch-size", 100)
    fit(home, "monitored", *options, "--worker-timeout", 30)

    run = json.loads((home / "monitored/run.json").read_text())
    with (home / "monitored/history.csv").open(newline="") as lines:
        rows = list(csv.DictReader(lines))
    accuracies = [float(row["val_accuracy"]) for row in rows]
    assert run["best_epoch"] == 1 + accuracies.index(max(accuracies))
    assert run["metrics"]["val_accuracy"] == pytest.approx(max(accuracies))
    rates = [float(row["learning_rate"]) for row in rows]
    assert rates == pytest.approx([0.001, 0.002, 0.001, 0.0], abs=1e-8)

    told = fit(home, "unknown", *options, "--monitor", "f1", status=1)
    assert "--monitor f1: expected one of loss, auc, pr_auc, accuracy, found no such metric" in told
    told = fit(home, "monitored", *options, "--monitor", "loss", status=1)
    assert "a finished run, with --monitor: accuracy in the run, loss now; give" in told


def test_a_command_that_is_refused_replaces_no_run(
    home: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(home)
    monkeypatch.setattr(sys, "path", sys.path.copy())
    monkeypatch.setenv("AVERAGES", "")
    (home / "unsaved.py").write_text(
        "import keras\n"
        "class Own(keras.layers.Dense):\n"
        "    def __init__(self, units):\n"
        "        super().__init__(units, activation='sigmoid')\n"
        "def build(spec):\n"
        "    return keras.Sequential([keras.Input((spec.width,)), Own(1)])\n"
    )
    shutil.copytree(home / "undisturbed", home / "kept")
    before = contents(home / "kept")
    config = FitConfig(dataset=Path("data/log"), label="clear", out=Path("kept"), overwrite=True)

    refused: list[tuple[dict[str, Any], str]] = [
        ({"monitor": "f1"}, "--monitor f1: expected one of loss, "),
        ({"warmup": 600.0}, "--warmup: expected fewer than the 600 batches of all, found 600"),
        ({"model": "own:build", "learning_rate": 0.1}, "expected a model that is not compiled"),
        ({"model": "unsaved:build"}, "the model cannot be saved"),
    ]
    for options, told in refused:
        with pytest.raises(ShardfitError, match=told):
            run_fit(dataclasses.replace(config, **options))
        assert contents(home / "kept") == before


def contents(directory: Path) -> dict[Path, bytes]:
    return {path: path.read_bytes() for path in directory.rglob("*") if path.is_file()}


def test_what_would_give_another_result_is_refused_and_shown(home: Path) -> None:
    shutil.copytree(home / "undisturbed", home / "unfinished")
    (home / "unfinished/run.json").unlink()
    before = (home / "unfinished/model.keras").read_bytes()

    told = fit(home, "unfinished", "--batch-size", 30, "--drop", "class", status=1)
    assert (
        "unfinished: expected the options and the data of the run that is there, found "
        "--batch-size: 20 in the run, 30 now; --drop: not given in the run, class now; give what"
    ) in told
    other = [[f"{n}.5", "ab"[n % 2], str(n % 2)] for n in range(100)]
    write_dataset(home / "data/other", ["power", "class", "clear"], other)
    told = fit(home, "unfinished", dataset="data/other", status=1)
    assert re.search(r"found the dataset: checksum \w{32} in the run, \w{32} now; give", told)
    told = fit(home, "unfinished", "--more-epochs", 1, status=1)
    assert "found --more-epochs: not given in the run, 1 now" in told
    told = fit(home, "new", "--more-epochs", 1, status=1)
    assert "new: expected a finished run, with the state at its end, for --more-epochs" in told
    assert not (home / "new").exists()

    (checkpoint,) = (home / "unfinished/checkpoints").iterdir()
    checkpoint.write_bytes(checkpoint.read_bytes()[:500])
    told = fit(home, "unfinished", status=1)
    assert "expected a whole checkpoint, here or in the one before, found its checksum" in told
    assert (home / "unfinished/model.keras").read_bytes() == before
