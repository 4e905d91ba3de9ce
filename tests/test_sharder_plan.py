"""`sharder plan` says before a run what the run will do."""

from __future__ import annotations

import gzip
import json
import random
import re
from pathlib import Path
from typing import Any

import pytest
from splitting import failure, sharder, tree, write

QUOTES = [*("--delimiter", "tab"), *("--quote-char", "none"), *("--escape-char", "\\")]


def plan(*args: object, cwd: Path, stdin: bytes = b"") -> Any:
    return json.loads(sharder("plan", "--json", *args, cwd=cwd, stdin=stdin).stdout)


def quests(n: int) -> str:
    """A log whose records with quoted newlines would read as others if cut within."""
    draw = random.Random(3)
    lines = []
    for i in range(n):
        clear = draw.random() < 0.6
        done = f"2025-04-01 12:{i % 60:02}:00" if clear else ""
        power = round(draw.gauss(0.3 if clear else 0, 1), 3)
        lines.append(f'{i},v1,{power},"so, so\n""{i}"", well",{done},{int(clear)}\n')
    return "id,version,power,comment,done_at,clear\n" + "".join(lines)


@pytest.fixture(scope="module")
def drop(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A directory with a log of 30 MB, of which a third is looked at."""
    directory = tmp_path_factory.mktemp("plan")
    write(directory, quests(600_000))
    return directory


def test_what_is_planned_comes_true(drop: Path) -> None:
    options = ("drop.csv", "--out", "data", "--test-fraction", 0.2)
    found = plan(*options, "--label", "clear", cwd=drop)
    assert list(drop.iterdir()) == [drop / "drop.csv"]  # nothing was written
    sharder("split", *options, cwd=drop)
    manifest = json.loads((drop / "data" / "log_quest" / "manifest.json").read_text())
    sides = manifest["sides"]

    assert not found["whole"]
    assert found["places"] == 8
    assert found["rejected_share"] == 0
    assert found["records"] == pytest.approx(600_000, rel=0.02)
    assert found["shards"] == pytest.approx(
        {side: len(entry["bytes"]) for side, entry in sides.items()}, rel=0.02
    )
    size = sum(sum(entry["bytes"]) for entry in sides.values())
    assert found["disk_bytes"] == pytest.approx(size, rel=0.06)
    assert 0 < found["seconds"] < 60
    for expected, column in zip(manifest["columns"], found["columns"], strict=True):
        assert column["name"] == expected["name"]
        assert column["type"] == expected["type"]
    assert found["told"]["done_at"] > 0.99
    assert found["told"]["id"] < 0.01
    assert found["told"]["comment"] < 0.01
    assert 0 < found["told"]["power"] < 0.1
    assert found["warnings"] == [
        "the same in each record, so nothing can be learnt from it: version",
        "different in each record, as identifiers are: id, comment",
        "done_at alone tells 100% of clear: if it is known only afterwards, "
        "train with --drop done_at",
    ]


def test_a_plan_is_a_table_for_people(drop: Path) -> None:
    text = sharder("plan", "drop.csv", "--label", "clear", cwd=drop).stdout
    assert "drop.csv: 33.8 MB, UTF-8, --delimiter ',' --quote-char '\"'" in text
    assert "looked at 8 places" in text
    assert re.search(r"^records  about (59|60)\d,000, 5\d bytes each", text, re.M)
    assert re.search(r"^shards   about 5[34]\d training \+ [56]\d v", text, re.M)
    rows = {line.split()[0]: line.split() for line in text.splitlines() if line.strip()}
    assert rows["done_at"][1:3] == ["timestamp", "100%"]
    assert rows["clear"][1:3] == ["integer", "label"]
    assert "! done_at alone tells 100% of clear" in text


def test_of_a_stream_only_the_head_is_known(drop: Path) -> None:
    data = (drop / "drop.csv").read_bytes()
    found = plan("-", cwd=drop, stdin=data)
    assert found["head_only"]
    assert found["records"] is None
    assert found["seconds"] is None
    assert found["columns"][0]["type"] == "integer"
    text = sharder("plan", "-", cwd=drop, stdin=data).stdout
    assert "a stream is not known further on" in text
    assert "how many is not known before the end" in text

    (drop / "drop.csv.gz").write_bytes(gzip.compress(data, 1))
    packed = plan("drop.csv.gz", "--name", "other", cwd=drop)
    assert packed["head_only"]
    assert packed["records"] == pytest.approx(600_000, rel=0.1)


def test_what_is_looked_at_whole_is_exact(tmp_path: Path) -> None:
    write(tmp_path, "a;b\n" + "1;'x;y'\n" * 150 + "2;z\n", "one.csv")
    write(tmp_path, "a;b\n3;z\n", "two.csv")
    found = plan("one.csv", "two.csv", "--dialect", "auto", cwd=tmp_path)
    assert (found["whole"], found["records"], found["sample_records"]) == (True, 152, 152)
    assert found["sources"][0]["dialect"] == "--delimiter ';' --quote-char \"'\""
    assert found["columns"][0]["distinct"] == 3
    assert (
        "looked at all of it, 152 records"
        in sharder(*("plan", "one.csv", "two.csv", "--dialect", "auto"), cwd=tmp_path).stdout
    )


@pytest.mark.parametrize(
    ("text", "options", "message"),
    [
        ("a,b\n1,x\n", ("--out", "taken"), "taken/log_quest: expected no dataset of this name"),
        ("a,a\n1,x\n", (), "drop.csv: header: expected different names, found 'a' 2 times"),
        ("a,b\n1,x\n2\n", (), "bad records: expected at most 1.0000% (--max-rejected), found 1"),
        ('a,b\n1,"x\n', (), "record 1 (line 2, byte 4): expected a quote that closes the one"),
        ("a,b\n1,x\n", ("--group-by", "c"), "--group-by c: expected one of the columns a, b"),
        ("a,b\n1,x\n", ("--out", "drop.csv/x"), "drop.csv/x/.log_quest.partial: found Not a"),
    ],
)
def test_what_the_run_refuses_the_plan_refuses_with_the_same_words(
    tmp_path: Path, text: str, options: tuple[str, ...], message: str
) -> None:
    write(tmp_path, "a,b\n1,x\n2,y\n", "other.csv")
    if "taken" in options:
        sharder("split", "other.csv", "--out", "taken", cwd=tmp_path)
    write(tmp_path, text)
    before = tree(tmp_path)
    of_plan = failure("plan", "drop.csv", *options, cwd=tmp_path)
    assert message in of_plan
    assert tree(tmp_path) == before
    out = () if "--out" in options else ("--out", "data")
    of_split = failure("split", "drop.csv", *out, *options, cwd=tmp_path).splitlines()
    # Behind what the run has said before.
    assert of_plan.splitlines()[0] in of_split


@pytest.mark.parametrize(
    ("text", "options", "warning"),
    [
        ('a,b\n1,5" nail\n2,x\n', (), "in 1 of 2 records that were looked at, a quote in the mid"),
        (
            'a,b,c,d,e\n1,2,"x\n1,2,3,4,5\n",4,5\n',
            (),
            "a line in quotes looks like a record; was a quote left open? '1,2,\"x\\n1,2,3",
        ),
        ("a,b\n1\n2,x\n", ("--max-rejected", "1"), "1 of 2 records that were looked at would be"),
        ("a\tb\n\\N\tx\\\ty\n", QUOTES, "a field is \\N, which with --escape-char means N"),
        ("a,b\n1,\n" * 1, (), "without any value: b"),
        ("1.5,b\n1,2\n", (), "a column is named '1.5'"),
        ("a,b\n1,2\n", ("--label", "b"), "nothing can be said of b"),
    ],
)
def test_what_looks_wrong_is_told(
    tmp_path: Path, text: str, options: tuple[str, ...], warning: str
) -> None:
    if warning.startswith("without"):
        text += "1,\n" * 200
    write(tmp_path, text)
    assert any(warning in line for line in plan("drop.csv", *options, cwd=tmp_path)["warnings"])


def test_an_end_within_quotes_is_seen_from_afar(drop: Path) -> None:
    with (drop / "cut.csv").open("wb") as file:
        file.write((drop / "drop.csv").read_bytes() + b'1,v1,2,"never closed,,1\n')
        file.write(b"2,v1,2,so,,1\n" * 100)
    (warning,) = (w for w in plan("cut.csv", cwd=drop)["warnings"] if "end" in w)
    assert "the last record seems to end inside quotes, which fails the run: '1,v1" in warning
