"""The saved model takes raw columns, and computes what training computed."""

from __future__ import annotations

import csv
import random
import subprocess
import sys
from datetime import datetime, timedelta
from pathlib import Path

import keras
import msgspec
import numpy as np
import pytest
from support import write_dataset

from shared.errors import ModelError
from shared.layout import Side
from trainer.derive.edits import ENCODINGS
from trainer.derive.rules import derive_features
from trainer.features.encode import Encoder
from trainer.features.read import read_records
from trainer.features.spec import FeatureSpec, Standard
from trainer.serving.export import export_model, exported_names, input_names
from trainer.serving.parity import check_parity, raw_inputs
from trainer.shards.dataset import open_dataset
from trainer.training.model import build_model

HEADER = ["", "at/when", "職業", "cast", "big", "flag", "word", "note", "gold", "features", "price"]
# What is not derived of itself: one of each encoding is to be compared.
EDITS = """
[columns.big]
encoding = "log"

[columns.gold]
encoding = "quantile"
"""


WORDS = [
    "Won",
    "lost",
    "the",
    "クエスト",
    "難しい、",
    "語",
    "don't!",
    "É",
    "😀",
    "\n",
    "한국",
    "x" * 300,
]


def messy_records(count: int) -> list[list[str]]:
    """Return records with gaps, markers, all forms of timestamps, and text of every sort."""
    rng = random.Random(0)
    records = []
    for number in range(count):
        moment = datetime(1903, 1, 1) + timedelta(seconds=rng.randrange(200 * 365 * 86_400))
        forms = [
            *(moment.isoformat(" "), moment.isoformat("T"), moment.isoformat(" ", "minutes")),
            *(moment.date().isoformat(), f"{moment.isoformat(' ')}.25", "", "NULL"),
        ]
        records.append(
            [
                f"{rng.gauss(0, 1):.4f}",
                rng.choice(forms),
                rng.choice(["騎士", 'a "b", c', "two\nlines", "NA", ""]),
                rng.choice(["", "1.5", "inf", "NaN", "-2e5"]),
                str(1_700_000_000 + rng.randrange(1000)),
                rng.choice(["true", "FALSE", "NA", ""]),
                f"語{rng.randrange(2000)}" if number % 9 else "",
                " ".join(rng.choices(WORDS, k=rng.randrange(60))),
                str(max(rng.randrange(-50, 50), 0) ** 3),
                rng.choice(["x", "y", "z"]),
                f"{rng.gauss(1e6, 2):.3f}",
            ]
        )
    return records


@pytest.fixture(scope="module")
def dataset(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_dataset(tmp_path_factory.mktemp("export") / "messy", HEADER, messy_records(3000))


def spec_of(dataset: Path, label: str) -> FeatureSpec:
    edits = dataset.with_name("edits.toml")
    edits.write_text(EDITS)
    spec = derive_features(open_dataset(dataset), label=label, features=edits)
    assert {type(f) for f in spec.features} == set(ENCODINGS.values())
    return spec


@pytest.mark.parametrize("label", ["price", "features"])
def test_the_saved_model_computes_what_training_computed(
    dataset: Path, tmp_path: Path, label: str
) -> None:
    spec = spec_of(dataset, label)
    core = build_model(spec)
    path = tmp_path / "model.keras"
    export_model(core, spec).save(path)
    encoder = Encoder(spec)
    for shard in open_dataset(dataset).shards[Side.TRAIN]:
        table = read_records(Path(shard.path).read_bytes(), encoder.types)
        check_parity(path, core, encoder, table)


def test_a_model_that_computes_something_else_is_found(dataset: Path, tmp_path: Path) -> None:
    spec = spec_of(dataset, "price")
    core = build_model(spec)
    path = tmp_path / "model.keras"
    export_model(core, spec).save(path)
    core.set_weights([weights + 0.1 for weights in core.get_weights()])
    encoder = Encoder(spec)
    data = Path(open_dataset(dataset).shards[Side.TRAIN][0].path).read_bytes()
    with pytest.raises(ModelError, match=r"model.keras: output: expected .* as in training"):
        check_parity(path, core, encoder, read_records(data, encoder.types))


def test_preprocessing_that_differs_is_told_by_its_column(dataset: Path, tmp_path: Path) -> None:
    spec = spec_of(dataset, "price")
    core = build_model(spec)
    path = tmp_path / "model.keras"
    export_model(core, spec).save(path)
    encoder = Encoder(spec)
    data = Path(open_dataset(dataset).shards[Side.TRAIN][0].path).read_bytes()
    table = read_records(data, encoder.types)
    other = msgspec.structs.replace(
        spec,
        features=tuple(
            msgspec.structs.replace(f, mean=0.0) if isinstance(f, Standard) else f
            for f in spec.features
        ),
    )
    with pytest.raises(ModelError, match=r"model.keras: feature '': expected 0\.05"):
        check_parity(path, core, Encoder(other), table)


def test_the_saved_model_needs_no_code_of_this_project(dataset: Path, tmp_path: Path) -> None:
    spec = spec_of(dataset, "price")
    core = build_model(spec)
    export_model(core, spec).save(tmp_path / "model.keras")
    encoder = Encoder(spec)
    shard = Path(open_dataset(dataset).shards[Side.TRAIN][0].path)
    table = read_records(shard.read_bytes(), encoder.types).slice(0, 5)
    expected = core.predict_on_batch(encoder.encode_columns(table)) * spec.label.std

    script = """
import sys, csv
import keras, numpy as np
model = keras.saving.load_model("model.keras")
with open(sys.argv[1], newline="") as lines:
    rows = [row for row, _ in zip(csv.DictReader(lines), range(5))]
names = {"": "unnamed", "at/when": "at_when"}
inputs = {}
for column in rows[0]:
    if column != "price":
        values = [row[column] for row in rows]
        if column in ("", "cast", "big", "gold"):
            values = [float(value or "nan") for value in values]
        inputs[names.get(column, column)] = np.array(values)[:, None]
print(*model.predict_on_batch(inputs)[:, 0])
assert not {"trainer", "shared"} & set(sys.modules)
"""
    done = subprocess.run(
        [sys.executable, "-P", "-W", "error", "-W", "ignore:__array__", "-c", script, str(shard)],
        cwd=tmp_path,
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    found = np.array([float(number) for number in done.stdout.split()])
    np.testing.assert_allclose(found - spec.label.mean, expected[:, 0], atol=1e-3)


def test_inputs_are_named_as_their_columns_where_keras_can() -> None:
    assert input_names(["a b", "", "x/y", "x_y", "レベル", "core"], taken={"core"}) == {
        "a b": "a b",
        "": "unnamed",
        "x/y": "x_y_2",
        "x_y": "x_y",
        "レベル": "レベル",
        "core": "core_2",
    }


def test_prediction_takes_numpy_arrays_of_text(dataset: Path) -> None:
    spec = spec_of(dataset, "features")
    core = build_model(spec)
    model = export_model(core, spec)
    encoder = Encoder(spec)
    shard = Path(open_dataset(dataset).shards[Side.TRAIN][0].path)
    table = read_records(shard.read_bytes(), encoder.types)
    inputs = raw_inputs(table, spec, exported_names(core, spec))

    output = model.predict_on_batch(inputs)
    assert output.shape == (1000, 3)
    np.testing.assert_allclose(output.sum(axis=1), 1, atol=1e-5)
    assert keras.backend.standardize_dtype(output.dtype) == "float32"
    with shard.open(newline="") as lines:
        assert [row["職業"] for row in csv.DictReader(lines)] == inputs["職業"][:, 0].tolist()
