"""Other backends of Keras train on the same batches, and give the same kind of run."""

from __future__ import annotations

import csv
import importlib.util
import json
import os
import subprocess
import sys
from pathlib import Path

import pytest
from support import write_dataset
from training import TRAINER

SCRIPT = """
import sys
import keras
from trainer.config import EvaluateConfig, FitConfig
from trainer.sequence import CSVSequence

batches = CSVSequence("log", label="clear", cache="off", workers=1)
width = batches.spec.width
model = keras.Sequential([keras.Input((width,)), keras.layers.Dense(1, activation="sigmoid")])
model.compile("sgd", "binary_crossentropy")
model.fit(batches, epochs=2, verbose=0)
batches.close()
print(keras.backend.backend(), "tensorflow" in sys.modules)
"""
RAW_COLUMNS = """
import csv, sys
import keras, numpy as np

model = keras.saving.load_model("run/model.keras")
with open(sys.argv[1], newline="") as lines:
    rows = list(csv.DictReader(lines))
power = np.array([[float(row["power"])] for row in rows])
class_ = np.array([[row["class"]] for row in rows])
print(*model.predict_on_batch({"power": power, "class": class_})[:, 0])
"""
FIT = ("fit", "log", "--label", "clear", "--out", "run", "--workers", "0")


@pytest.mark.parametrize("setting", ["environment", "file"])
def test_a_backend_that_does_not_train_is_told(setting: str, tmp_path: Path) -> None:
    write_dataset(tmp_path / "log", ("a", "clear"), [(str(n % 9), str(n % 2)) for n in range(20)])
    (tmp_path / "keras.json").write_text('{"backend": "pytorch"}')
    told = {"environment": {"KERAS_BACKEND": "pytorch"}, "file": {"KERAS_HOME": str(tmp_path)}}
    others = {name: value for name, value in os.environ.items() if name != "KERAS_BACKEND"}
    done = subprocess.run(
        [TRAINER, *FIT],
        cwd=tmp_path,
        env=others | told[setting],
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 1
    message = "error: KERAS_BACKEND: expected one of tensorflow, jax, torch, found pytorch"
    assert message in done.stderr


@pytest.mark.parametrize("backend", ["jax", "torch"])
def test_a_backend_trains_and_its_run_takes_raw_columns(backend: str, tmp_path: Path) -> None:
    if importlib.util.find_spec(backend) is None:
        pytest.skip(f"{backend} is not installed")
    rows = [(f"{n % 9}.5", ("mage", "騎士", "bard")[n % 3], str(n % 2)) for n in range(240)]
    header = ("power", "class", "clear")
    write_dataset(tmp_path / "log", header, rows[:200], validate=rows[200:], rows_per_shard=50)
    shard = "log/splited/split_data_00000.csv"

    def run(*command: str, backend: str = backend) -> subprocess.CompletedProcess[str]:
        environment = os.environ | {"KERAS_BACKEND": backend}
        return subprocess.run(
            command, cwd=tmp_path, env=environment, capture_output=True, text=True, check=False
        )

    done = run(sys.executable, "-c", SCRIPT)
    assert done.stdout == f"{backend} False\n", done.stderr
    for command in (
        (*FIT, "--epochs", "1"),
        (*FIT, "--more-epochs", "1"),
        ("predict", "run", shard, "--out", "predicted.csv"),
        ("evaluate", "run", "log", "--json", "--workers", "0"),
    ):
        done = run(TRAINER, *command)
        assert done.returncode == 0, done.stderr
    assert json.loads(done.stdout)["records"] == 40
    found = json.loads((tmp_path / "run/run.json").read_text())
    assert found["epochs"] == 2
    assert backend in found["versions"]

    done = run(sys.executable, "-c", RAW_COLUMNS, shard, backend="tensorflow")
    assert done.returncode == 0, done.stderr
    with (tmp_path / "predicted.csv").open(newline="") as lines:
        predicted = [float(row["probability"]) for row in csv.DictReader(lines)]
    assert len(predicted) == 50
    assert [float(number) for number in done.stdout.split()] == pytest.approx(predicted, abs=1e-5)

    if backend == "torch":
        for option, value in (("--jit-compile", "on"), ("--steps-per-execution", "4")):
            done = run(TRAINER, *FIT[:-4], "--out", "other", option, value)
            assert f"error: {option}: expected" in done.stderr
    done = run(TRAINER, "export", "run", "--format", "saved_model")
    assert f"KERAS_BACKEND: expected tensorflow, which writes saved_model, found {backend}" in (
        done.stderr
    )
