"""The program `trainer`, run as a user runs it."""

from __future__ import annotations

import csv
import json
import random
import re
import shutil
import subprocess
from pathlib import Path

import msgspec
import pytest
import tomlkit
from support import csv_bytes, write_dataset, write_shards
from training import failure, trainer

from shared.layout import Side

HEADER = ["player", "at", "class", "power", "comment", "clear"]


def records_of(count: int, *, seed: int) -> list[list[str]]:
    """Return records of which class and power tell most about the label."""
    rng = random.Random(seed)
    records = []
    for _ in range(count):
        class_, power = rng.choice(["mage", "騎士", "bard, the"]), rng.gauss(100, 20)
        chance = (power > 100) * 0.5 + (class_ == "騎士") * 0.3 + 0.1
        records.append(
            [
                f"p{rng.randrange(10**9)}",
                f"2024-01-{rng.randint(1, 28):02} {rng.randint(0, 23):02}:00",
                class_,
                "" if rng.random() < 0.05 else f"{power:.1f}",
                rng.choice(["", "NA", 'a "good"\r\nday', "why\nnot"]),
                str(int(rng.random() < chance)),
            ]
        )
    return records


@pytest.fixture(scope="module")
def home(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A directory with a dataset of two sides, and a run that was trained on it."""
    home = tmp_path_factory.mktemp("trainer")
    records = records_of(3500, seed=0)
    write_dataset(home / "data" / "log", HEADER, records[:3000], validate=records[3000:])
    done = fit("data/log", cwd=home)
    assert done.stdout == "runs/log\n"
    (home / "fit.stderr").write_text(done.stderr)
    return home


def fit(
    dataset: object, *options: object, cwd: Path, out: str = "runs/log", status: int = 0
) -> subprocess.CompletedProcess[str]:
    few = ("--label", "clear", "--out", out, "--epochs", 2, "--workers", 1, "--batch-size", 100)
    return trainer("fit", dataset, *few, *options, cwd=cwd, status=status)


def test_a_run_leaves_model_history_logs_and_what_it_was(home: Path) -> None:
    out = home / "runs" / "log"
    assert sorted(path.name for path in out.iterdir()) == [
        *("checkpoints", "features.toml", "history.csv", "model.keras", "run.json", "tensorboard")
    ]
    with (out / "history.csv").open() as lines:
        rows = list(csv.DictReader(lines))
    assert [row["epoch"] for row in rows] == ["0", "1"]
    run = json.loads((out / "run.json").read_text())
    assert run["options"]["label"] == "clear"
    assert run["spec"]["label"]["task"] == "binary"
    assert run["inputs"] == {name: name for name in ("at", "class", "power", "comment")}
    assert (run["records"], run["validation_records"], run["epochs"]) == (3000, 500, 2)
    assert run["metrics"]["val_auc"] == pytest.approx(float(rows[run["best_epoch"] - 1]["val_auc"]))
    assert list((out / "tensorboard").rglob("events.out.tfevents.*"))


def test_stderr_tells_what_a_person_wants_to_know_and_no_more(home: Path) -> None:
    told = (home / "fit.stderr").read_text()

    assert "player: left out, it looks like an identifier (3,500 different" in told
    assert (
        "3,000 training records, 500 validation records; 4 columns, 11 features; binary "
        "(probability of '1', not '0'); "
    ) in told
    assert re.search(r"epoch 2/2  accuracy 0\.\d+  auc .* val_loss .* records/s", told)
    assert "runs/log/model.keras" in told
    assert "tensorboard --logdir runs" in told
    for noise in ("oneDNN", "absl", "cuda", "WARNING", "UserWarning"):
        assert noise not in told


def test_a_finished_run_is_replaced_only_when_told_so(home: Path) -> None:
    before = (home / "runs/log/run.json").read_bytes()
    few = ("--epochs", 2, "--batch-size", 100)
    command = ("fit", "data/log", "--label", "clear", "--out", "runs/log")

    assert (
        "runs/log: expected a new directory, found a finished run; give another --out, "
        "--more-epochs to go on with it, or --overwrite"
    ) in failure(*command, *few, cwd=home)
    assert (
        "found a finished run, with --epochs: 2 in the run, 20 now, "
        "with --batch-size: 100 in the run, not given now; give another"
    ) in failure(*command, cwd=home)
    assert (home / "runs/log/run.json").read_bytes() == before


def test_a_directory_of_other_things_is_left_alone(home: Path) -> None:
    (home / "mine").mkdir()
    (home / "mine" / "thesis.txt").write_text("precious")
    command = ("fit", "data/log", "--label", "clear", "--out", "mine", "--overwrite")
    message = failure(*command, cwd=home)

    assert "mine: expected a new or empty directory, found one that holds 'thesis.txt'" in message
    assert [path.name for path in (home / "mine").iterdir()] == ["thesis.txt"]


def test_evaluate_gives_the_metrics_of_the_best_epoch(home: Path) -> None:
    found = json.loads(trainer("evaluate", "runs/log", "data/log", "--json", cwd=home).stdout)
    kept = json.loads((home / "runs/log/run.json").read_text())["metrics"]

    assert found["records"] == 500
    assert found["auc"] == pytest.approx(kept["val_auc"], abs=0.01)  # Keras has 200 thresholds
    assert found["accuracy"] == pytest.approx(kept["val_accuracy"])
    assert found["log_loss"] == pytest.approx(kept["val_loss"], rel=1e-4)


def test_shards_of_another_tool_are_trained_on_and_their_test_side_evaluated(home: Path) -> None:
    records = records_of(900, seed=2)
    dataset = write_dataset(home / "bare/log", HEADER, records[:600], validate=records[600:800])
    (dataset / "manifest.json").unlink()
    message = failure("evaluate", "runs/log", "bare/log", "--side", "test", cwd=home)
    assert message == "trainer: error: bare/log: expected test records, found none"

    write_shards(dataset, Side.TEST, HEADER, records[800:])
    fit("bare/log", cwd=home, out="runs/bare")
    run = json.loads((home / "runs/bare/run.json").read_text())
    assert (run["records"], run["validation_records"], run["shards"]) == (600, 200, 2)
    done = trainer("evaluate", "runs/bare", "bare/log", "--side", "test", "--json", cwd=home)
    assert json.loads(done.stdout)["records"] == 100


def test_predict_gives_a_row_for_each_record_in_order(home: Path) -> None:
    records = records_of(2500, seed=1)
    # Columns in another order, without the label, with one more; all even records look like a loss.
    header = ["comment", "extra", "class", "power", "at"]
    looks = (("mage", "50.0"), ("騎士", "150.0"))
    rows = [[r[4], "x", *looks[i % 2], r[1]] for i, r in enumerate(records)]
    (home / "new.csv").write_bytes(csv_bytes(header, rows))
    done = trainer("predict", "runs/log", "new.csv", "--out", "p.csv", cwd=home)

    assert (done.stdout, done.stderr) == ("p.csv\n", "2,500 records\n")
    lines = (home / "p.csv").read_text().splitlines()
    assert lines[0] == "probability"
    found = [float(line) for line in lines[1:]]
    assert len(found) == 2500
    assert min(found[1::2]) > max(found[0::2])


def test_a_loss_that_is_no_number_names_the_shard(home: Path) -> None:
    command = ("fit", "data/log", "--label", "clear", "--out", "runs/nan", "--workers", 0)
    message = failure(*command, "--learning-rate", "1e38", cwd=home)

    assert re.search(
        r"epoch \d, batch \d \(data/log/splited/split_data_0000\d.csv and 2 more\): "
        r"expected a finite loss",
        message,
    )
    assert not (home / "runs" / "nan" / "run.json").exists()


def test_a_shard_that_was_changed_is_named(home: Path) -> None:
    for side in ("log", "log_validate"):
        shutil.copytree(home / "data" / side, home / "changed" / side)
    shard = home / "changed/log/splited/split_data_00001.csv"
    shard.write_bytes(shard.read_bytes().replace(b"mage", b"sage"))
    message = failure("fit", "changed/log", "--label", "clear", "--out", "runs/changed", cwd=home)

    assert (
        "changed/log/splited/split_data_00001.csv: expected the checksum in the manifest" in message
    )


@pytest.fixture(scope="module")
def own(home: Path) -> Path:
    """The home, with a run of a model of one's own."""
    (home / "own.py").write_text(
        "import keras\n"
        "@keras.saving.register_keras_serializable()\n"
        "class Twice(keras.layers.Layer):\n"
        "    def call(self, x):\n"
        "        return x * 2\n"
        "def build(spec):\n"
        "    return keras.Sequential([Twice(), keras.layers.Dense(1, activation='sigmoid')])\n"
    )
    fit("data/log", "--model", "own:build", out="runs/own", cwd=home)
    return home


def test_a_model_of_ones_own_is_trained_and_evaluated(own: Path) -> None:
    # Code is run only for whoever asks for it.
    refused = failure("evaluate", "runs/own", "data/log", cwd=own)
    assert "found no class 'Twice'; if you trust the code of the model's layers" in refused
    evaluate = ("evaluate", "runs/own", "data/log", "--side", "train", "--json")
    found = trainer(*evaluate, "--model", "own:build", cwd=own).stdout
    assert json.loads(found)["records"] == 3000


def test_classes_are_predicted_by_their_names(home: Path) -> None:
    few = ("--out", "runs/class", "--epochs", 1, "--workers", 0, "--class-weight", "balanced")
    caches = list((home / "data/.log.cache").iterdir())
    trainer("fit", "data/log", "--label", "class", *few, "--cache", "off", cwd=home)
    assert list((home / "data/.log.cache").iterdir()) == caches
    records = records_of(30, seed=2)
    (home / "new.csv").write_bytes(csv_bytes(HEADER, records))
    done = trainer("predict", "runs/class", "new.csv", "--out", "-", cwd=home)

    rows = list(csv.reader(done.stdout.splitlines()))
    assert rows[0] == ["bard, the", "mage", "騎士", "prediction"]
    assert len(rows) == 31
    for row in rows[1:]:
        shares = dict(zip(rows[0], map(float, row[:3]), strict=False))
        assert sum(shares.values()) == pytest.approx(1, abs=1e-5)
        assert row[3] == max(shares, key=lambda name: shares[name])


@pytest.mark.parametrize(
    ("args", "message"),
    [
        (["fit", "data/none", "--label", "clear", "--out", "new/x"],
         "data/none/splited: expected a directory of shards, found no such directory"),
        (["fit", "data/log/manifest.json", "--label", "clear", "--out", "new/x"],
         "manifest.json: expected the directory of a dataset, found a file; a CSV is split first"),
        (["evaluate", "runs/none", "data/log"], "runs/none/run.json: expected a finished run"),
        (["predict", "runs/log", "none.csv", "--out", "x"], "none.csv: expected a CSV file"),
    ],
)  # fmt: skip
def test_what_is_not_there_is_told(home: Path, args: list[str], message: str) -> None:
    before = set(home.iterdir())
    assert message in failure(*args, cwd=home)
    assert set(home.iterdir()) == before


def test_an_edited_feature_file_makes_another_run_and_another_cache(home: Path) -> None:
    caches = set((home / "data/.log.cache").iterdir())
    document = tomlkit.parse((home / "runs/log/features.toml").read_text())
    columns = document["columns"]
    columns["at"]["trend"] = False
    columns["player"] = {"encoding": "hashed", "bins": 16}
    columns["comment"]["encoding"] = "drop"
    (home / "edited.toml").write_text(tomlkit.dumps(document))
    fit("data/log", "--features", "edited.toml", cwd=home, out="runs/edited")

    run = json.loads((home / "runs/edited/run.json").read_text())
    assert run["inputs"] == {name: name for name in ("player", "at", "class", "power")}
    others = set((home / "data/.log.cache").iterdir()) - caches
    assert len(others) == 2
    # Given back unedited, it is the same run.
    (home / "runs/edited/run.json").unlink()
    again = fit("data/log", "--features", "runs/edited/features.toml", cwd=home, out="runs/edited")
    assert "runs/edited: goes on with the saving of the model" in again.stderr
    (home / "runs/edited/run.json").unlink()
    done = fit("data/log", cwd=home, out="runs/edited", status=1)
    assert (
        "runs/edited: expected the options and the data of the run that is there, found the "
        "features: another --features made 'player', 'at', 'comment'; give what it was made with"
    ) in done.stderr
    for cache in others:
        shutil.rmtree(cache)


def test_run_json_is_read_strictly(home: Path, tmp_path: Path) -> None:
    run = msgspec.json.decode((home / "runs/log/run.json").read_bytes())
    (tmp_path / "run.json").write_bytes(msgspec.json.encode(run | {"format": 99}))
    message = failure("predict", tmp_path, "x.csv", "--out", "-", cwd=home)

    assert "run.json: expected format 1, found format 99" in message


def test_a_later_run_replaces_another_reads_the_cache_and_learns_the_same(home: Path) -> None:
    shutil.copytree(home / "runs/log", home / "runs/later")
    (home / "runs/later/history.csv").write_text("of an older run")
    fit("data/log", "--overwrite", cwd=home, out="runs/later")
    histories = [(home / "runs" / name / "history.csv").read_text() for name in ("log", "later")]
    assert histories[0] == histories[1]
