"""A function of one's own makes features and labels from a DataFrame, in the workers."""

from __future__ import annotations

import json
import random
import subprocess
import sys
import textwrap
from pathlib import Path

import numpy as np
import pandas as pd
import pyarrow as pa
import pytest
from support import csv_bytes, write_dataset
from training import trainer

from shared.errors import ConfigError, ContractError, ShardfitError
from shared.layout import Side
from shared.schema import ColumnType
from trainer.derive.rules import derive_features
from trainer.features.read import column_types
from trainer.features.spec import FeatureSpec, Kind, Transform
from trainer.features.transform import make_encoder, make_frame
from trainer.sequence import CSVSequence
from trainer.shards.dataset import open_dataset
from trainer.shards.read import read_shard

HEADER = ["power", "class", "at", "flag", "level", "clear"]
PREPARE = """
    import numpy as np
    import pandas as pd

    def prepare(frame):
        labels = frame.pop("clear")
        features = pd.DataFrame({
            "power": np.log1p(frame["power"].clip(lower=0)).fillna(0),
            "mage": frame["class"] == "mage",
            "hour": frame["at"].dt.hour,
            "level": frame["level"],
        })
        return features, labels
"""


def records_of(count: int) -> list[list[str]]:
    rng = random.Random(0)
    records = []
    for number in range(count):
        power, class_ = rng.lognormvariate(3, 1), rng.choice(["mage", "knight", ""])
        records.append(
            [
                f"{power:.2f}" if number % 10 else "NA",
                class_,
                f"2024-01-02 0{number % 10}:00",
                rng.choice(["true", "False", ""]),
                str(number % 7),
                "won" if power > 20 or class_ == "mage" else "lost",
            ]
        )
    return records


@pytest.fixture(scope="module")
def home(tmp_path_factory: pytest.TempPathFactory) -> Path:
    home = tmp_path_factory.mktemp("transform")
    records = records_of(900)
    write_dataset(
        home / "data/log", HEADER, records[:700], validate=records[700:], rows_per_shard=100
    )
    return home


@pytest.fixture
def at_home(home: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(home)
    monkeypatch.setattr(sys, "path", [str(home), *sys.path])
    return home


def write_module(home: Path, name: str, text: str) -> str:
    (home / f"{name}.py").write_text(textwrap.dedent(text))
    sys.modules.pop(name, None)
    return f"{name}:prepare"


def derive(home: Path, reference: str, label: str = "clear", **options: object) -> FeatureSpec:
    dataset = open_dataset(home / "data/log")
    return derive_features(dataset, label=label, transform=reference, **options)  # type: ignore[arg-type]


def test_a_run_with_a_function_of_ones_own(home: Path) -> None:
    write_module(home, "mine", PREPARE)
    few = ("--label", "clear", "--transform", "mine:prepare", "--epochs", 2, "--workers", 1)
    trainer("fit", "data/log", *few, "--batch-size", 50, "--out", "run", cwd=home)
    run = json.loads((home / "run/run.json").read_text())
    assert run["spec"]["label"]["classes"] == ["lost", "won"]
    assert run["inputs"] == {}
    assert not (home / "run/features.toml").exists()
    assert run["metrics"]["val_auc"] > 0.8

    records = records_of(50)
    (home / "new.csv").write_bytes(csv_bytes(HEADER[:-1], [r[:-1] for r in records]))
    predict = ("predict", "run", "new.csv", "--out", "-")
    # The run may be anybody's: its code is not run untold.
    told = trainer(*predict, cwd=home, status=1).stderr
    assert "run: expected --transform mine:prepare, found none; the run was made with it" in told
    mine = ("--transform", "mine:prepare")
    found = trainer(*predict, *mine, cwd=home).stdout.splitlines()
    assert len(found) == 51
    # The saved model takes what the function gives.
    code = """
import numpy as np, pandas as pd, mine
frame = pd.read_csv("new.csv", parse_dates=["at"]).assign(clear=None)
x = np.asarray(mine.prepare(frame)[0], "float32")
import keras
print(*keras.saving.load_model("run/model.keras").predict_on_batch(x)[:, 0])
"""
    done = subprocess.run(
        [sys.executable, "-c", code], cwd=home, capture_output=True, text=True, check=True
    )
    served = [float(p) for p in done.stdout.split()]
    np.testing.assert_allclose(served, [float(line) for line in found[1:]], atol=1e-5)

    # Another text of the module would make other features: the model is not used with it.
    (home / "mine.py").write_text((home / "mine.py").read_text() + "# changed\n")
    told = trainer(*predict, *mine, cwd=home, status=1).stderr
    assert "--transform mine:prepare: expected " in told
    assert "as it was when the features were made, found another text" in told
    (home / "run/run.json").unlink()
    told = trainer(
        "fit", "data/log", *few, "--batch-size", 50, "--out", "run", cwd=home, status=1
    ).stderr
    assert "found --transform: another text of its module; give what it was" in told


def test_the_frame_has_the_types_of_the_profile(at_home: Path) -> None:
    reference = write_module(
        at_home,
        "seen",
        """
        def prepare(frame):
            print(frame.dtypes)
            prepare.frame = frame.copy()
            return frame[["level"]], frame["clear"]
        """,
    )
    derive(at_home, reference)
    frame: pd.DataFrame = sys.modules["seen"].prepare.frame

    assert list(frame.columns) == HEADER
    kinds = [str(dtype) for dtype in frame.dtypes]
    assert kinds[0] == "float64"
    assert kinds[2:5] == ["datetime64[us]", "boolean", "int64"]
    records = records_of(700)[600:]
    assert frame["level"].tolist() == [int(r[4]) for r in records]
    assert frame["class"].isna().tolist() == [r[1] == "" for r in records]
    assert frame["flag"].dropna().tolist() == [r[3] == "true" for r in records if r[3]]
    assert frame["power"].isna().sum() == 10
    assert frame["at"].dt.hour.tolist() == [n % 10 for n in range(600, 700)]


def test_batches_are_what_the_function_gives(at_home: Path) -> None:
    reference = write_module(at_home, "mine2", PREPARE)
    spec = derive(at_home, reference)
    sequence = CSVSequence("data/log", spec=spec, shuffle=False, workers=1, cache="off")
    x, y = sequence[1][:2]
    sequence.close()

    assert spec.names == ["power", "mage", "hour", "level"]
    records = records_of(700)[100:200]
    assert x[:, 1].tolist() == [r[1] == "mage" for r in records]
    assert y.tolist() == [r[5] == "won" for r in records]


def test_a_boolean_that_training_has_never_seen_is_refused() -> None:
    kinds = {"flag": Kind(ColumnType.BOOLEAN, missing=False)}
    transform = Transform("m:f", "", kinds)
    for field in ("", "NA", "yes", "1"):
        with pytest.raises(ContractError, match="column 'flag': expected boolean values"):
            make_frame(pa.table({"flag": ["TRUE", field]}), transform)
    frame = make_frame(pa.table({"flag": ["TRUE", "False"]}), transform)
    assert frame["flag"].tolist() == [True, False]


def test_the_weights_are_no_feature_of_the_function(at_home: Path) -> None:
    body = "def prepare(frame):\n    return frame[['power']].fillna(0), frame['clear']\n"
    spec = derive(at_home, write_module(at_home, "weighted", body), weight_column="level")
    assert spec.transform is not None
    assert "level" not in spec.transform.columns
    assert "level" not in column_types(spec, label=False)
    with pytest.raises(ConfigError, match="--weight-column clear: found the label"):
        derive(at_home, "weighted:prepare", weight_column="clear")


def test_the_function_is_all_that_says_what_becomes_of_the_columns(at_home: Path) -> None:
    reference = write_module(at_home, "alone", PREPARE)
    with pytest.raises(ConfigError, match="--transform: expected no --drop, found both"):
        CSVSequence("data/log", label="clear", transform=reference, drop=["level"])


@pytest.mark.parametrize(
    ("labels", "label", "task", "classes"),
    [
        ('frame["clear"]', "clear", "binary", ("lost", "won")),
        ('frame["level"] > 3', "strong", "binary", ("false", "true")),
        ('frame["level"]', "level", "multiclass", tuple("0123456")),
        # A column of this name has these values and more: the classes are all of its.
        ('(frame["level"] > 3).astype(float)', "level", "multiclass", tuple("0123456")),
        ('(frame["level"] > 3).astype(float)', "high", "binary", ("0", "1")),
        ('np.log(frame["power"].fillna(1))', "power", "regression", ()),
    ],
)
def test_labels_of_the_function_make_the_task(
    at_home: Path, labels: str, label: str, task: str, classes: tuple[str, ...]
) -> None:
    name = f"labels{abs(hash(labels))}"
    text = f"import numpy as np\ndef prepare(frame):\n    return frame[['level']], {labels}\n"
    spec = derive(at_home, write_module(at_home, name, text), label)

    assert (spec.label.task, spec.label.classes) == (task, classes)
    shard = open_dataset(at_home / "data/log").shards[Side.TRAIN][0]
    y = read_shard(shard, make_encoder(spec)).y
    assert len(y) == 100
    assert np.isfinite(y).all()


@pytest.mark.parametrize(
    ("body", "message"),
    [
        ("return frame['glod']", "KeyError: 'glod', line 3 of "),
        ("return frame[['level']]", "expected features and labels, found DataFrame"),
        ("return frame[['level']].dropna().iloc[1:], frame['clear']",
         "expected a table of 100 rows, one for each record, found DataFrame of shape (99, 1)"),
        ("return frame['level'], frame['clear']", "found Series of shape (100,)"),
        ("return frame[['level']], frame['clear'][:5]",
         "expected 100 labels, one for each record, found an array of shape (5,)"),
        ("return frame[['level', 'class']], frame['clear']", "in feature 'class'"),
        ("return frame[['level', 'power']], frame['clear']",
         "found nan in feature 'power' of record 1; fill what is missing"),
        ("return frame[['level']] * 1e300, frame['clear']", "expected finite numbers, as float32"),
    ],
)  # fmt: skip
def test_what_does_not_fit_is_told_with_shard_and_function(
    at_home: Path, body: str, message: str
) -> None:
    name = f"wrong{abs(hash(body))}"
    reference = write_module(at_home, name, f"\ndef prepare(frame):\n    {body}\n")
    with pytest.raises(ShardfitError) as error:
        derive(at_home, reference)
    assert message in str(error.value)
    assert f"split_data_00000.csv, --transform {reference}: " in str(error.value)


def test_features_that_depend_on_the_shard_are_refused(at_home: Path) -> None:
    reference = write_module(
        at_home,
        "dummies",
        """
        import pandas as pd

        def prepare(frame):
            frame["first"] = frame["at"].dt.hour + 10 * (frame.index[0] + frame["power"].iloc[1])
            return pd.get_dummies(frame["first"].round()), frame["clear"]
        """,
    )
    with pytest.raises(ShardfitError, match="they must not depend on what a single shard has"):
        spec = derive(at_home, reference)
        for shard in open_dataset("data/log").shards[Side.TRAIN]:
            read_shard(shard, make_encoder(spec))
