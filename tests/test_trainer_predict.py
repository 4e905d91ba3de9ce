"""Predictions: a row for each record, in order, from whatever is left of a run that was cut off."""

from __future__ import annotations

import csv
import os
import random
import signal
import subprocess
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet
import pytest
from killing import trapped_behind
from support import csv_bytes, spell, write_dataset
from training import TRAINER

import trainer.predicting.predictor
from shared.dialect import Dialect
from shared.errors import ConfigError, ShardfitError, SourceError, TargetError
from trainer.config import FitConfig, PredictConfig
from trainer.fit import run as run_fit
from trainer.interrupt import Interrupted
from trainer.predict import run as run_predict
from trainer.predicting.parts import Parts

HEADER = ["player", "power", "class", "comment", "clear"]
KEEP = ("player", "comment", "power")


def records_of(count: int, *, seed: int) -> list[list[str]]:
    rng = random.Random(seed)
    return [
        [
            f"{number:07}",
            rng.choice(["", "NA", " 12.5", "1e2", f"{rng.gauss(100, 20):.2f}"]),
            rng.choice(["mage", "騎士"]),
            rng.choice(["", "NA", 'a "good"\r\nday', "=1+1", " x ", "a,b"]),
            str(rng.randrange(2)),
        ]
        for number in range(count)
    ]


@pytest.fixture(scope="module")
def home(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A directory with a finished run and a source of 5,000 records."""
    home = tmp_path_factory.mktemp("predict")
    write_dataset(home / "log", HEADER, records_of(1000, seed=0))
    run_fit(FitConfig(dataset=home / "log", label="clear", out=home / "run", epochs=1, workers=0))
    (home / "new.csv").write_bytes(csv_bytes(HEADER, records_of(5000, seed=1)))
    return home


@pytest.fixture(autouse=True)
def small_tables(monkeypatch: pytest.MonkeyPatch) -> None:
    """Make a table of two pieces."""
    monkeypatch.setattr(trainer.predicting.predictor, "_TABLE_ROWS", 2000)


def predict(home: Path, out: str, source: str = "new.csv", **options: object) -> list[str]:
    """Predict in this process, which has Keras loaded; return what was told."""
    told: list[str] = []
    config = PredictConfig(run=home / "run", source=home / source, out=home / out, **options)  # type: ignore[arg-type]
    run_predict(config, say=told.append)
    return told


def debris(home: Path) -> list[str]:
    return [path.name for path in home.glob(".*.partial")]


def test_kept_columns_stay_as_they_are_in_csv_and_in_parquet(home: Path) -> None:
    predict(home, "bare.csv")
    predict(home, "kept.csv", keep=KEEP)
    predict(home, "kept.parquet", keep=KEEP)

    records = records_of(5000, seed=1)
    probabilities = (home / "bare.csv").read_text().splitlines()[1:]
    rows = [[r[0], r[3], r[1], p] for r, p in zip(records, probabilities, strict=True)]
    assert (home / "kept.csv").read_bytes() == csv_bytes([*KEEP, "probability"], rows)
    table = pyarrow.parquet.read_table(home / "kept.parquet")
    assert [table.column(name).to_pylist() for name in KEEP] == [
        [row[i] for row in rows] for i in range(3)
    ]
    expected = table.column("probability").cast(pa.string()).to_pylist()
    assert expected == probabilities


def cut_off(home: Path, out: str, source: str = "new.csv", **options: object) -> None:
    """Predict until two tables are done; then a signal comes."""
    add = Parts.add

    def add_then_stop(parts: Parts, table: pa.Table) -> None:
        add(parts, table)
        if parts.rows == 4096:
            os.kill(os.getpid(), signal.SIGTERM)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(Parts, "add", add_then_stop)
        with pytest.raises(Interrupted) as error:
            predict(home, out, source, **options)
    assert error.value.message == "interrupted; the same command goes on after 4,096 records"
    assert not (home / out).exists()


@pytest.mark.parametrize("suffix", ["csv", "parquet"])
def test_a_run_that_was_cut_off_goes_on_to_the_same_bytes(home: Path, suffix: str) -> None:
    whole, cut = f"whole.{suffix}", f"cut.{suffix}"
    predict(home, whole, keep=KEEP)
    cut_off(home, cut, keep=KEEP)
    assert predict(home, cut, keep=KEEP) == [f"{home / cut}: goes on after 4,096 records"]
    assert (home / cut).read_bytes() == (home / whole).read_bytes()
    assert debris(home) == []


def test_a_killed_program_goes_on_to_the_same_bytes(home: Path) -> None:
    records = [record for seed in range(20) for record in records_of(5000, seed=seed)]
    (home / "large.csv").write_bytes(csv_bytes(HEADER, records))
    command = [TRAINER, "predict", "run", "large.csv", "--keep", "player", "--out"]
    killed = trapped_behind(home, ".part", signal.SIGKILL)
    done = subprocess.run([*command, "killed.csv"], cwd=home, env=killed, check=False)
    assert done.returncode == -signal.SIGKILL
    assert not (home / "killed.csv").exists()
    again = subprocess.run(
        [*command, "killed.csv"], cwd=home, capture_output=True, text=True, check=True
    )
    assert again.stdout == "killed.csv\n"
    assert again.stderr == "killed.csv: goes on after 65,536 records\n100,000 records\n"
    predict(home, "undisturbed.csv", "large.csv", keep=("player",))
    assert (home / "killed.csv").read_bytes() == (home / "undisturbed.csv").read_bytes()
    with (home / "killed.csv").open(newline="") as lines:
        rows = csv.DictReader(lines)
        assert [row["player"] for row in rows] == [record[0] for record in records]


def test_what_has_changed_since_makes_it_begin_anew_and_is_told(home: Path) -> None:
    source = home / "changing.csv"
    source.write_bytes((home / "new.csv").read_bytes())
    cut_off(home, "anew.csv", source="changing.csv")
    (home / "run/run.json").write_bytes((home / "run/run.json").read_bytes() + b" ")
    source.write_bytes(source.read_bytes() + b"0,1,mage,,1\n")

    told = predict(home, "anew.csv", "changing.csv", keep=("player",))
    assert told == [
        f"{home}/anew.csv: begins anew, since the source has changed and the run is another one "
        "and --keep names other columns"
    ]
    assert (home / "anew.csv").read_bytes().count(b"\n") == 5002


def test_a_source_that_changes_while_it_is_read_is_refused(home: Path) -> None:
    source = home / "growing.csv"
    source.write_bytes((home / "new.csv").read_bytes())
    add = Parts.add

    def add_then_grow(parts: Parts, table: pa.Table) -> None:
        add(parts, table)
        source.write_bytes(source.read_bytes() + b"0,1,mage,,1\n")

    with pytest.MonkeyPatch.context() as patch, pytest.raises(SourceError) as error:
        patch.setattr(Parts, "add", add_then_grow)
        predict(home, "grown.csv", "growing.csv")
    assert "growing.csv: expected a file that stays as it is, found one that has" in str(
        error.value
    )
    assert not (home / "grown.csv").exists()
    assert debris(home) == []


def test_a_source_in_another_dialect_gives_the_same_bytes(home: Path) -> None:
    records = records_of(5000, seed=1)
    text = spell([HEADER, *records], Dialect(";", "'", "\\"))
    (home / "other.txt").write_text(text, newline="")
    dialect = {"delimiter": ";", "quote_char": "'", "escape_char": "\\"}
    predict(home, "plain.csv", keep=KEEP)
    cut_off(home, "dialect.csv", "other.txt", keep=KEEP, delimiter=";", quote_char="'")
    assert predict(home, "dialect.csv", "other.txt", keep=KEEP, **dialect) == [
        f"{home}/dialect.csv: begins anew, since the options tell of another dialect"
    ]
    assert (home / "dialect.csv").read_bytes() == (home / "plain.csv").read_bytes()
    with pytest.raises(
        SourceError, match=r"found only 'player;power;class;.*; say --delimiter ';'"
    ):
        predict(home, "refused.csv", "other.txt")
    with pytest.raises(ConfigError, match="--quote-char: expected another one than the delimiter"):
        predict(home, "refused.csv", "other.txt", delimiter="'", quote_char="'")


def test_a_record_that_does_not_fit_is_told_and_nothing_is_left(home: Path) -> None:
    lines = (home / "new.csv").read_bytes()
    (home / "short.csv").write_bytes(lines + b"x\n")
    (home / "word.csv").write_bytes(lines + b"5,much,mage,,1\n")
    for source, keep, message in (
        ("short.csv", (), "short.csv, record 5001: expected 5 fields, as in the header, found 1"),
        ("word.csv", (), "word.csv, record 5001, column 'power': expected a number, found 'much'"),
        ("word.csv", KEEP, "word.csv, records 4,097 to 5,001, column 'power': expected a number"),
    ):
        with pytest.raises(SourceError) as error:
            predict(home, "failed.csv", source, keep=keep)
        assert message in str(error.value)
    assert not (home / "failed.csv").exists()
    assert debris(home) == []


def test_a_file_is_replaced_only_when_told_so(home: Path) -> None:
    (home / "old.csv").write_text("precious")
    (home / "link.csv").symlink_to("old.csv")
    with pytest.raises(TargetError, match=r"old.csv: expected nothing, found what an earlier"):
        predict(home, "old.csv")
    for name in ("link.csv", "run"):
        with pytest.raises(TargetError, match="earlier run wrote, found something else"):
            predict(home, name, overwrite=True)
    assert (home / "old.csv").read_text() == "precious"
    predict(home, "old.csv", overwrite=True)
    assert (home / "old.csv").read_text().startswith("probability\n0.")


@pytest.mark.parametrize(
    ("keep", "message"),
    [
        (("level",), r"new.csv, header: expected the column 'level', found only 'player', 'power'"),
        (("player", "player"), "--keep: expected each column once, found player, player"),
    ],
)
def test_columns_that_cannot_be_kept_are_refused(
    home: Path, keep: tuple[str, ...], message: str
) -> None:
    with pytest.raises(ShardfitError, match=message):
        predict(home, "refused.csv", keep=keep)


def test_a_kept_column_does_not_hide_a_prediction(home: Path) -> None:
    (home / "named.csv").write_bytes(csv_bytes([*HEADER, "probability"], []))
    with pytest.raises(ConfigError, match="--keep probability: expected another name than those"):
        predict(home, "refused.csv", "named.csv", keep=("probability",))


def test_records_of_megabytes_make_small_pieces(home: Path) -> None:
    long = "word " * 200_000
    records = [[str(n), "1", "mage", f"{n} {long}", "0"] for n in range(12)]
    (home / "long.csv").write_bytes(csv_bytes(HEADER, records))
    predict(home, "long.parquet", "long.csv", keep=("comment", "player"))
    file = pyarrow.parquet.ParquetFile(home / "long.parquet")
    assert file.read().column("comment").to_pylist() == [record[3] for record in records]
