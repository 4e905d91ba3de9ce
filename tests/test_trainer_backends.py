"""Other backends of Keras train on the same batches, and give the same kind of run."""

from __future__ import annotations

import importlib.util
import json
import os
import subprocess
import sys
from pathlib import Path

import pytest
from feeding import write_numbered

SCRIPT = """
import sys
import keras
from trainer.config import EvaluateConfig, FitConfig
from trainer.sequence import CSVSequence

batches = CSVSequence("log", label="clear", cache="off", workers=1)
model = keras.Sequential([keras.Input((1,)), keras.layers.Dense(1, activation="sigmoid")])
model.compile("sgd", "binary_crossentropy")
model.fit(batches, epochs=2, verbose=0)
batches.close()
print(keras.backend.backend(), "tensorflow" in sys.modules)
"""


@pytest.mark.parametrize("backend", ["jax", "torch"])
def test_a_backend_trains_and_its_run_takes_raw_columns(backend: str, tmp_path: Path) -> None:
    if importlib.util.find_spec(backend) is None:
        pytest.skip(f"{backend} is not installed")
    write_numbered(tmp_path / "log", 200, validate=40, rows_per_shard=50)
    environment = os.environ | {"KERAS_BACKEND": backend}
    done = subprocess.run(
        [sys.executable, "-c", SCRIPT], cwd=tmp_path, env=environment, capture_output=True,
        text=True, check=False,
    )  # fmt: skip
    assert done.stdout == f"{backend} False\n", done.stderr

    trainer = str(Path(sys.executable).with_name("trainer"))
    for command in (
        ("fit", "log", "--label", "clear", "--out", "run", "--epochs", "1", "--workers", "0"),
        ("fit", "log", "--label", "clear", "--out", "run", "--more-epochs", "1", "--workers", "0"),
        ("evaluate", "run", "log", "--json", "--workers", "0"),
    ):
        done = subprocess.run(
            [trainer, *command], cwd=tmp_path, env=environment, capture_output=True, text=True,
            check=False,
        )  # fmt: skip
        assert done.returncode == 0, done.stderr
    assert json.loads(done.stdout)["records"] == 40
    run = json.loads((tmp_path / "run/run.json").read_text())
    assert run["epochs"] == 2
    assert backend in run["versions"]
    done = subprocess.run(
        [trainer, "export", "run", "--format", "saved_model"], cwd=tmp_path, env=environment,
        capture_output=True, text=True, check=False,
    )  # fmt: skip
    assert f"KERAS_BACKEND: expected tensorflow, which writes saved_model, found {backend}" in (
        done.stderr
    )
