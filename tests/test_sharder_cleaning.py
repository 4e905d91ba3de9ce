"""`--clean MODULE:FUNCTION`: the records go through a function of the user's."""

from __future__ import annotations

import csv
import io
import re
import shutil
import signal
import sys
import textwrap
from pathlib import Path

import pytest
from killing import OPTIONS, cut_off, write_log
from splitting import read_side, sharder, tree, write

from sharder.config import SplitConfig
from sharder.split import run
from shared.errors import ConfigError
from shared.layout import Side
from shared.manifest_file import load_manifest

RULES = """
    def clean(records):
        records = records[records["player"] != "p7"]
        words = records["comment"].str.upper()
        half = records["id"].astype(int) / 2
        return records.drop(columns="comment").assign(words=words, half=half)

    def by_mean(records):
        number = records["id"].astype(float)
        return records.assign(score=number - number.mean())

    def turned(records):
        return records[::-1]

    def broken(records):
        return records["teams"]

    def nothing(records):
        pass

    def late(records):
        return records if "900" not in set(records["id"]) else records.assign(more=1)
"""
CHANGED = """
    first = clean

    def clean(records):
        if "900" in set(records["id"]):
            raise ValueError("no 900")
        return first(records)
"""
SLOW = """
    import os, time

    def clean(records):
        time.sleep(float(os.environ.get("SECONDS", "0")))
        return records
"""
CLEAN = ("--clean", "rules:clean", "--group-by", "words")


@pytest.fixture(scope="module")
def undisturbed(tmp_path_factory: pytest.TempPathFactory) -> Path:
    home = tmp_path_factory.mktemp("undisturbed")
    write_log(home)
    (home / "rules.py").write_text(textwrap.dedent(RULES))
    # In few blocks: a DataFrame of a few records takes as long as one of thousands.
    sharder("split", "drop.csv", *OPTIONS, *CLEAN, "--block-bytes", "64KiB", cwd=home)
    return home


@pytest.fixture
def home(undisturbed: Path, tmp_path: Path) -> Path:
    for name in ("drop.csv", "rules.py"):
        shutil.copy2(undisturbed / name, tmp_path)
    return tmp_path


def test_what_a_function_makes_of_the_records_is_split(undisturbed: Path, home: Path) -> None:
    told = sharder("split", "-", *OPTIONS, *CLEAN, "--block-bytes", "8MiB", "--shuffle",
                   cwd=home, stdin=(home / "drop.csv").read_bytes()).stderr  # fmt: skip
    rows = [
        row
        for row in csv.DictReader(io.StringIO((home / "drop.csv").read_text(), newline=""))
        if row["comment"] is not None and row["player"] != "p7"
    ]
    expected = {
        (row["id"], row["player"], row["score"], str(row["comment"]).upper(), int(row["id"]) / 2)
        for row in rows
    }
    dropped = 5500 - len(rows)
    sides = re.search(
        r"5,511 records = ([\d,]+) training \(.*\) \+ ([\d,]+) validation \(.*\) "
        rf"\+ 11 rejected \+ {dropped} dropped by rules:clean",
        told,
    )
    assert sides, told
    assert sum(int(count.replace(",", "")) for count in sides.groups()) == len(rows)
    for dataset in (undisturbed / "data/log_quest", home / "data/log_quest"):
        found = [*read_side(dataset, Side.TRAIN), *read_side(dataset, Side.VALIDATE)]
        assert list(found[0]) == ["id", "player", "score", "words", "half"]
        assert {(*list(row.values())[:4], float(row["half"])) for row in found} == expected
        assert len(found) == len(expected)
        manifest = load_manifest(dataset)
        assert manifest is not None
        assert manifest.cleaning is not None
        assert (manifest.dropped, manifest.cleaning.function) == (dropped, "rules:clean")
        sharder("verify", dataset, cwd=home)
    # What is rejected is as it was in the source.
    rejected = sharder("rejected", "data/log_quest", "--raw", cwd=home).stdout
    assert rejected.startswith("bad,0\n")


def test_a_killed_run_goes_on_unless_the_code_has_changed(undisturbed: Path, home: Path) -> None:
    cut_off(home, signal.SIGKILL, *CLEAN)
    shutil.copytree(home / "data", home / "left")
    done = sharder("split", "drop.csv", *OPTIONS, *CLEAN, cwd=home)
    assert "going on at " in done.stderr
    assert tree(home / "data") == tree(undisturbed / "data")
    shutil.rmtree(home / "data")
    (home / "left").rename(home / "data")
    with (home / "rules.py").open("a") as file:
        file.write(textwrap.dedent(CHANGED))
    done = sharder("split", "drop.csv", *OPTIONS, *CLEAN, cwd=home, status=1)
    assert "not gone on with: --clean was rules:clean of " in done.stderr
    assert "found ValueError: no 900, line " in done.stderr


def test_of_a_slow_run_a_kill_costs_seconds(home: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (home / "slow.py").write_text(textwrap.dedent(SLOW))
    options = ("--clean", "slow:clean", "--checkpoint-every", "0")
    sharder("split", "drop.csv", *OPTIONS, *options, "--block-bytes", "64KiB", cwd=home)
    (home / "data").rename(home / "expected")
    monkeypatch.setenv("SECONDS", "0.3")
    cut_off(home, signal.SIGKILL, *options, "--block-bytes", "4000", "--workers", "2")
    monkeypatch.delenv("SECONDS")
    done = sharder("split", "drop.csv", *OPTIONS, *options, "--block-bytes", "4000", cwd=home)
    # The first 16 blocks took more than two seconds.
    assert f"going on at {16 * 4000 / (home / 'drop.csv').stat().st_size:.0%}" in done.stderr
    assert tree(home / "data") == tree(home / "expected")


def test_code_is_that_of_the_module_that_the_function_is_defined_in_too(home: Path) -> None:
    (home / "rules.py").rename(home / "inner.py")
    (home / "outer.py").write_text("from inner import clean\n")
    options = ("--clean", "outer:clean", "--group-by", "words")
    cut_off(home, signal.SIGKILL, *options)
    with (home / "inner.py").open("a") as file:
        file.write("\n# Another text.\n")
    done = sharder("split", "drop.csv", *OPTIONS, *options, cwd=home)
    assert "not gone on with: --clean was outer:clean of " in done.stderr


@pytest.mark.parametrize(
    ("function", "message"),
    [
        ("rules:by_mean", "expected the same result for each record, whatever others"),
        ("rules:turned", "expected rows with the index that they had, in the same order"),
        ("rules:broken", "found KeyError: 'teams', line 16 of "),
        ("rules:nothing", "expected a DataFrame, found NoneType"),
        ("rules:late", "expected the columns id, player, score, comment, as of the first"),
        ("rules:never", "expected a function 'never' in "),
        ("norules:clean", "found ModuleNotFoundError: No module named 'norules'"),
        ("rules", "expected MODULE:FUNCTION, such as my_code:build"),
    ],
)
def test_a_function_that_does_not_fit_is_told(
    home: Path, function: str, message: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(home)
    monkeypatch.delitem(sys.modules, "rules", raising=False)
    monkeypatch.setattr(sys, "path", [*sys.path])
    with pytest.raises(ConfigError) as raised:
        run(SplitConfig(sources=("drop.csv",), out=home / "data", clean=function))
    told = str(raised.value)
    assert told.startswith(f"--clean {function}")
    assert message in told
    if "KeyError" in message:
        assert f", line 16 of {home / 'rules.py'}" in told
    assert not (home / "data").exists()


def test_a_field_of_any_text_comes_through(tmp_path: Path) -> None:
    (tmp_path / "rules.py").write_text("def clean(records):\n    return records[['b']]\n")
    fields = ['"a\rb"', '"c\nd"', '" ""e"" "', "", '"f,g"', "NA", "0012", "魔"]
    write(tmp_path, "a,b\r\n" + "".join(f"1,{field}\r\n" for field in fields))
    options = ("--out", ".", "--clean", "rules:clean", "--validate-fraction", 0)
    sharder("split", "drop.csv", *options, cwd=tmp_path)
    text = (tmp_path / "log_quest/splited/split_data_00000.csv").read_bytes().decode()
    rows = list(csv.reader(io.StringIO(text, newline="")))
    expected = ["b", "a\rb", "c\nd", ' "e" ', "", "f,g", "NA", "0012", "魔"]
    assert [row[0] if row else "" for row in rows] == expected
    sharder("verify", "log_quest", cwd=tmp_path)
