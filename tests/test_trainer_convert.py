"""Runs in other formats, which give what training computed, or are not written."""

from __future__ import annotations

import csv
import random
from pathlib import Path

import msgspec
import numpy as np
import pytest
from support import csv_bytes, write_dataset

import trainer.convert
import trainer.serving.saved_model
from shared.errors import ConfigError, ContractError, ModelError, TargetError
from trainer.config import ExportConfig, FitConfig, ModelFormat, PredictConfig
from trainer.convert import run as run_export
from trainer.features.encode import Encoder
from trainer.features.read import read_records
from trainer.fit import run as run_fit
from trainer.predict import run as run_predict
from trainer.rundir import load_run

HEADER = ["職業", "a b", "at", "id", "price"]


def records_of(count: int) -> list[list[str]]:
    rng = random.Random(0)
    return [
        [
            rng.choice(["騎士", "mage", ""]),
            rng.choice(["", f"{rng.gauss(1e6, 10):.3f}"]),
            f"2024-01-{rng.randint(1, 28):02} {rng.randint(0, 23):02}:00",
            f"Q{rng.randrange(200)}" if number % 3 else "",
            f"{rng.gauss(1e6, 2):.3f}",
        ]
        for number in range(count)
    ]


@pytest.fixture(scope="module")
def home(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A directory with a run in mixed precision, a source, and what the run says of it."""
    home = tmp_path_factory.mktemp("convert")
    dataset = write_dataset(home / "log", HEADER, records_of(1000))
    options = {"epochs": 1, "workers": 0, "cache": "off", "mixed_precision": True}
    run_fit(FitConfig(dataset=dataset, label="price", out=home / "run", **options))  # type: ignore[arg-type]
    (home / "new.csv").write_bytes(csv_bytes(HEADER, records_of(100)))
    run_predict(PredictConfig(run=home / "run", source=home / "new.csv", out=home / "p.csv"))
    return home


def predictions(home: Path) -> list[float]:
    with (home / "p.csv").open(newline="") as lines:
        return [float(row["prediction"]) for row in csv.DictReader(lines)]


def export(home: Path, format_: ModelFormat, **options: object) -> Path:
    return run_export(ExportConfig(run=home / "run", format=format_, **options))  # type: ignore[arg-type]


def test_a_saved_model_takes_raw_columns(home: Path) -> None:
    import tensorflow as tf

    path = export(home, "saved_model")
    assert path == home / "run/saved_model"

    serve = tf.saved_model.load(str(path)).signatures["serving_default"]
    assert set(serve.structured_input_signature[1]) == {"column_1", "column_2", "at", "id"}
    columns = list(zip(*records_of(100), strict=True))
    inputs = dict(zip(("column_1", "column_2", "at", "id"), columns, strict=False))
    numbers = np.array([float(text or "nan") for text in inputs.pop("column_2")])
    (found,) = serve(
        column_2=tf.constant(numbers[:, None]),
        **{name: tf.constant(np.array(texts)[:, None]) for name, texts in inputs.items()},
    ).values()
    np.testing.assert_allclose(found.numpy()[:, 0], predictions(home), rtol=0, atol=1e-3)


def test_onnx_takes_the_matrix(home: Path) -> None:
    import onnxruntime

    session = onnxruntime.InferenceSession(export(home, "onnx", out=home / "served.onnx"))

    spec = load_run(home / "run").spec
    columns = session.get_modelmeta().custom_metadata_map["columns"]
    assert msgspec.json.decode(columns) == spec.names
    encoder = Encoder(spec)
    x = encoder.encode_columns(read_records((home / "new.csv").read_bytes(), encoder.types))
    (found,) = session.run(None, {"x": x})
    np.testing.assert_allclose(found[:, 0], predictions(home), rtol=0, atol=1e-3)


def test_what_differs_from_training_is_not_written(
    home: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    serve = trainer.serving.saved_model.serve_saved_model
    monkeypatch.setattr(
        trainer.serving.saved_model, "serve_saved_model", lambda *given: serve(*given) + 1
    )
    with pytest.raises(ModelError, match=r"other: output: expected .* as in training"):
        export(home, "saved_model", out=home / "other")
    assert not [path for path in home.iterdir() if "other" in path.name]


def test_what_cannot_be_exported_is_told(home: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (home / "mine").mkdir()
    with pytest.raises(TargetError, match="mine: expected nothing, or what an earlier run wrote"):
        export(home, "saved_model", out=home / "mine", overwrite=True)
    with pytest.raises(ContractError, match="give the place of the dataset, or of another one"):
        monkeypatch.setattr(trainer.convert, "load_run", _moved)
        export(home, "saved_model", out=home / "new")
    monkeypatch.undo()
    fewer = write_dataset(home / "fewer", HEADER[1:], [row[1:] for row in records_of(10)])
    told = r"fewer/splited/split_data_00000.csv, header: expected the column '職業', found only"
    with pytest.raises(ContractError, match=told):
        export(home, "saved_model", out=home / "new", dataset=fewer)
    (home / "mine/linked").mkdir()
    (home / ".linked.partial").symlink_to(home / "mine")
    with pytest.raises(TargetError, match="found a link to "):
        export(home, "saved_model", out=home / "linked")
    assert (home / "mine/linked").is_dir()
    monkeypatch.setattr(trainer.convert, "_ONNX_PACKAGES", ("onnx", "tf3onnx"))
    with pytest.raises(ConfigError, match=r"found no tf3onnx; install .* -m pip install tf3onnx"):
        export(home, "onnx", out=home / "new")


def _moved(path: Path) -> object:
    found = load_run(path)
    return msgspec.structs.replace(found, options=found.options | {"dataset": "elsewhere/log"})
