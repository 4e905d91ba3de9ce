"""Records count by the weights in a column: in training, and in the metrics."""

from __future__ import annotations

import json
import random
from pathlib import Path

import numpy as np
import pytest
from support import write_dataset
from training import trainer

HEADER = ["power", "w", "clear"]


def records_of(count: int, seed: int) -> list[list[str]]:
    """Return records of which those with weight 0 say the opposite of the others."""
    rng = random.Random(seed)
    records = []
    for _ in range(count):
        power, weight = rng.gauss(0, 1), rng.choice([0, 0, 1, 3])
        is_clear = (power + rng.gauss(0, 0.3) > 0) == (weight > 0)
        records.append([f"{power:.4f}", str(weight), "yes" if is_clear else "no"])
    return records


def fit(out: str, *options: object, cwd: Path, status: int = 0) -> str:
    few = ("--label", "clear", "--epochs", 2, "--workers", 1, "--out", out, "--weight-column", "w")
    return trainer("fit", "data/log", *few, *options, cwd=cwd, status=status).stderr


@pytest.fixture(scope="module")
def home(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A dataset, and a run that was trained on it with its weights."""
    home = tmp_path_factory.mktemp("weights")
    records = records_of(2400, seed=0)
    write_dataset(
        home / "data/log", HEADER, records[:2000], validate=records[2000:], rows_per_shard=100
    )
    fit("run", "--class-weight", "no=2", cwd=home)
    return home


def test_records_of_weight_0_are_neither_learned_from_nor_judged_by(home: Path) -> None:
    run = json.loads((home / "run/run.json").read_text())
    assert run["inputs"] == {"power": "power"}
    assert run["metrics"]["val_auc"] > 0.95
    found = json.loads(trainer("evaluate", "run", "data/log", "--json", cwd=home).stdout)
    assert found["records"] == 400
    assert found["auc"] == pytest.approx(run["metrics"]["val_auc"], abs=0.01)
    assert found["accuracy"] == pytest.approx(run["metrics"]["val_accuracy"])
    assert found["log_loss"] > 0


def test_a_record_of_weight_3_counts_like_three(home: Path) -> None:
    records = records_of(300, seed=1)
    write_dataset(home / "weighted/log", HEADER, records)
    repeated = [[r[0], "1", r[2]] for r in records for _ in range(int(r[1]))]
    write_dataset(home / "repeated/log", HEADER, repeated)
    weighted, expected = (
        json.loads(
            trainer("evaluate", "run", f"{name}/log", "--side", "train", "--json", cwd=home).stdout
        )
        for name in ("weighted", "repeated")
    )

    assert (weighted.pop("records"), expected.pop("records")) == (300, len(repeated))
    assert weighted == pytest.approx(expected)


def test_weights_come_from_the_cache_as_from_the_shards(home: Path) -> None:
    (path,) = (home / "data/.log.cache").glob("train-*")
    cached = np.load(path / "weights.npy")

    assert cached.dtype == np.float32
    assert cached.tolist() == [float(r[1]) for r in records_of(2400, seed=0)[:2000]]
    # One run after the other reads them: the same history.
    fit("again", "--class-weight", "no=2", "--cache", "off", cwd=home)
    histories = [(home / run / "history.csv").read_text() for run in ("run", "again")]
    assert histories[0] == histories[1]


@pytest.mark.parametrize(
    ("weight", "message"),
    [
        ("", "split_data_00001.csv, record 3, column 'w': expected a weight: a finite number, 0 or "
             "more, found none; give every record a weight, or remove it, before splitting"),
        ("-0.5", "split_data_00001.csv, record 3, column 'w': expected a weight: a finite number, "
                 "0 or more, found -0.5"),
        ("inf", "split_data_00001.csv, record 3, column 'w': expected a weight"),
        ("much", "--weight-column w: expected a column of numbers, found text values such as '0'"),
    ],
)  # fmt: skip
def test_what_is_no_weight_is_refused(tmp_path: Path, weight: str, message: str) -> None:
    records = records_of(300, seed=2)
    records[102][1] = weight
    write_dataset(tmp_path / "data/log", HEADER, records, rows_per_shard=100)
    assert message in fit("run", cwd=tmp_path, status=1)


def test_weights_are_no_features_and_no_label(home: Path) -> None:
    assert "--weight-column w: found --keep w" in fit("x", "--keep", "w", cwd=home, status=1)
    assert "--weight-column w: found the label" in fit("x", "--label", "w", cwd=home, status=1)
    told = fit("x", "--weight-column", "W", cwd=home, status=1)
    assert "--weight-column W: expected one of the columns power, w, clear" in told
