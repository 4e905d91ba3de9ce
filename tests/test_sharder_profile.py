"""The profile is what pandas finds in the whole table, wherever the blocks are cut."""

from __future__ import annotations

import json
import re
from pathlib import Path
from random import Random
from typing import Any

import numpy as np
import pandas as pd
import pytest
from measuring import run_measured
from splitting import SHARDER, sharder, write

from sharder.config import SplitConfig
from sharder.graph import profile
from sharder.split import run
from shared.schema import Column

RECORDS = 4000


def make_table() -> pd.DataFrame:
    random = Random(0)

    def column(draw: Any) -> list[str]:
        return [draw() for _ in range(RECORDS)]

    return pd.DataFrame(
        {
            "few": column(lambda: str(random.randrange(-50, 50))),
            "many": column(lambda: str(random.randrange(10 * RECORDS))),
            "large": column(lambda: str(random.randrange(-(2**62), 2**62))),
            "gaps": column(lambda: random.choice(["", f"{random.gauss(1e6, 3):.4f}"])),
            "mixed": column(lambda: random.choice(["1", "2.5", "3"])),
            "text": column(lambda: random.choice(["a", "b", "", "é", "NA"])),
            "id": [f"u{number}" for number in range(RECORDS)],
        }
    )


@pytest.mark.parametrize("block_bytes", [2000, 8 << 20])
def test_the_profile_is_what_pandas_finds(tmp_path: Path, block_bytes: int) -> None:
    table = make_table()
    table.to_csv(tmp_path / "drop.csv", index=False)
    sharder("split", "drop.csv", "--out", ".", "--block-bytes", block_bytes, cwd=tmp_path)
    columns = json.loads(sharder("info", "log_quest", "--json", cwd=tmp_path).stdout)
    assert [column["name"] for column in columns] == list(table)
    for column in columns:
        texts = table[column["name"]].replace("", np.nan)
        is_text = column["name"] in ("text", "id")
        values = texts if is_text else pd.to_numeric(texts)
        type_ = "text" if is_text else "integer" if values.dtype.kind == "i" else "number"
        assert column["type"] == type_
        assert column["missing"] == values.isna().sum()
        assert (column["minimum"], column["maximum"]) == (values.min(), values.max())
        assert column["distinct_exact"]
        assert column["distinct"] == values.nunique()
        assert column["top"][0][1] == values.value_counts().iloc[0]
        if not is_text:
            exact = [int(n) if "." not in n else float(n) for n in texts.dropna()]
            deviation = np.std(np.array(exact, float))
            mean = sum(exact) / len(exact)
            assert column["mean"] == pytest.approx(mean, rel=1e-11, abs=1e-11 * deviation)
            assert column["variance"] == pytest.approx(deviation**2, rel=1e-9)


def test_the_profile_is_exact_over_all_records(tmp_path: Path) -> None:
    rows = "".join(
        f"{n},{n / 4},{'NA' if n % 5 else '1.5'},{n % 2 == 0},000{n % 3},x{n % 4},\n"
        for n in range(1000)
    )
    write(tmp_path, "i,f,gaps,flag,zip,text,nothing\n" + rows + "1000,late,,True,0001,x0,\n")
    sharder("split", "drop.csv", "--out", "out", "--block-bytes", 512, cwd=tmp_path)
    found = json.loads(sharder("info", "out/log_quest", "--json", cwd=tmp_path).stdout)
    columns = {column["name"]: column for column in found}
    assert {name: column["type"] for name, column in columns.items()} == {
        "i": "integer", "f": "text", "gaps": "number", "flag": "boolean",
        "zip": "text", "text": "text", "nothing": "empty",
    }  # fmt: skip
    i = columns["i"]
    assert (i["minimum"], i["maximum"], i["mean"], i["missing"], i["distinct"]) == (
        0,
        1000,
        500,
        0,
        1001,
    )
    assert i["variance"] == 83500
    assert columns["gaps"]["missing"] == 801
    assert columns["gaps"]["missing_markers"] == ["NA"]
    assert columns["text"]["top"] == [["x0", 251], ["x1", 250], ["x2", 250], ["x3", 250]]
    assert columns["zip"]["minimum"] == "0000"
    assert columns["nothing"]["missing"] == 1001


def test_values_too_many_to_count_are_estimated(tmp_path: Path) -> None:
    # 60,000 values of each kind, one record in a hundred has the first of them.
    numbers = [n if n % 100 else 0 for n in range(60_000)]
    rows = "".join(f"{n},{n / 8},{'' if n == 7 else f'x{n}'}\n" for n in numbers)
    write(tmp_path, "whole,number,text\n" + rows)
    sharder("split", "drop.csv", "--out", ".", "--block-bytes", "300KiB", cwd=tmp_path)
    for column in json.loads(sharder("info", "log_quest", "--json", cwd=tmp_path).stdout):
        assert not column["distinct_exact"]
        assert abs(column["distinct"] - 59_401) < 0.05 * 59_401  # three standard errors
        value, count = column["top"][0]
        assert value == ("x0" if column["name"] == "text" else "0")
        assert 580 < count <= 600
        assert column["missing"] == (column["name"] == "text")


def test_five_hundred_columns_of_long_text_take_no_more_memory(tmp_path: Path) -> None:
    random = Random(0)
    texts = ["".join(random.choices("abcdefghij", k=60)) for _ in range(20_000)]
    with (tmp_path / "drop.csv").open("w") as file:
        file.write(",".join(f"c{number}" for number in range(500)) + "\n")
        for _ in range(1200):
            file.write(",".join(random.choices(texts, k=500)) + "\n")
    options = ("--block-bytes", "1MiB", "--workers", 2, "--rows-per-shard", 50,
               "--checkpoint-every", 4)  # fmt: skip
    plan = sharder("split", "drop.csv", "--out", ".", *options, "--dry-run", cwd=tmp_path)
    (foreseen,) = re.findall(r"at most about (\d+) MiB of memory", plan.stderr)
    # The program, three blocks of 1 MiB under way, and three shards of 50 records.
    assert 0 < int(foreseen) - (155 + 3 * 8) < 5
    done = run_measured([SHARDER, "split", "drop.csv", "--out", ".", *options], tmp_path)
    assert done.status == 0, done.stderr
    (said,) = re.findall(r"at most (\d+) MiB of memory", done.stderr)
    assert 0 < done.peak < int(said) + 1
    assert int(said) <= int(foreseen)


def test_of_a_long_text_the_profile_keeps_the_beginning(tmp_path: Path) -> None:
    write(tmp_path, "a\n" + "".join(f"{letter * 300_000}\n" for letter in "cab"))
    sharder("split", "drop.csv", "--out", ".", "--validate-fraction", 0, cwd=tmp_path)
    (column,) = json.loads(sharder("info", "log_quest", "--json", cwd=tmp_path).stdout)
    assert (column["minimum"], column["maximum"]) == ("a" * 256, "c" * 256)


def test_the_profile_does_not_depend_on_the_parts_that_a_block_is_read_in(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    lines = make_table().to_csv(index=False).splitlines(keepends=True)
    # What is rejected is in none of them.
    for number in range(500, RECORDS, 500):
        lines.insert(number, "bad\n")
    source = write(tmp_path, "".join(lines))

    def columns(name: str) -> tuple[Column, ...] | None:
        config = SplitConfig(sources=(source,), out=tmp_path, name=name, max_rejected=1)
        return run(config).manifest.columns

    assert (whole := columns("whole"))
    for part in ("_PARSED_BYTES", "_PROFILED_BYTES"):
        monkeypatch.setattr(profile, part, 5000)
        assert columns(part.strip("_")) == whole


@pytest.mark.parametrize("block_bytes", [100, 8 << 20])
def test_the_profile_does_not_depend_on_the_blocks(tmp_path: Path, block_bytes: int) -> None:
    codes = ["0012"] * 50 + ["1.5"] * 50
    gaps = [str(n) for n in range(99)] + ["nan"]
    large = [str(10**18 + n) for n in range(100)]
    mixed = [str(n) for n in range(50)] + [f"{n}.5" for n in range(50)]
    rows = zip(codes, gaps, large, mixed, strict=True)
    write(tmp_path, "codes,gaps,large,mixed\n" + "".join(",".join(row) + "\n" for row in rows))
    sharder("split", "drop.csv", "--out", ".", "--block-bytes", block_bytes, cwd=tmp_path)
    found = json.loads(sharder("info", "log_quest", "--json", cwd=tmp_path).stdout)
    codes_, gaps_, large_, mixed_ = found
    assert (codes_["type"], codes_["minimum"]) == ("text", "0012")
    assert (gaps_["type"], gaps_["missing"], gaps_["maximum"]) == ("integer", 1, 98)
    assert large_["variance"] == 833.25
    assert (mixed_["type"], mixed_["minimum"], mixed_["maximum"]) == ("number", 0.0, 49.5)
    assert '"minimum": 0.0' in json.dumps(mixed_)


@pytest.mark.parametrize("block_bytes", [100, 8 << 20])
def test_late_texts_and_late_fractions_are_counted_as_in_one_block(
    tmp_path: Path, block_bytes: int
) -> None:
    late = [str(n) for n in range(5, 105)] + ["x"]
    large = [str(2**60 + n % 2) for n in range(100)] + ["0.5"]
    times = ["2025-04-01"] * 100 + ["1e999"]
    centred = [f"{(n - 50) / 7:.6f}" for n in range(101)]
    rows = zip(late, large, times, centred, strict=True)
    write(tmp_path, "late,large,times,centred\n" + "".join(",".join(row) + "\n" for row in rows))
    sharder("split", "drop.csv", "--out", ".", "--block-bytes", block_bytes, cwd=tmp_path)
    found = json.loads(sharder("info", "log_quest", "--json", cwd=tmp_path).stdout)
    late_, large_, times_, centred_ = found
    assert (late_["minimum"], late_["maximum"], late_["distinct"]) == ("10", "x", 101)
    assert large_["top"] == [["1.152921504606847e+18", 100], ["0.5", 1]]
    assert (large_["type"], large_["distinct"], large_["distinct_exact"]) == ("number", 2, True)
    assert (times_["type"], times_["missing"]) == ("text", 0)
    assert centred_["mean"] == 0


@pytest.mark.parametrize(("block_bytes", "is_exact"), [(100, False), (8 << 20, True)])
@pytest.mark.parametrize("spelling", ["-0", " 5"])
def test_texts_counted_as_integers_are_exact_only_if_their_spelling_is_known(
    tmp_path: Path, spelling: str, block_bytes: int, is_exact: bool
) -> None:
    write(tmp_path, "a,b\n" + f"{spelling},b\n" * 100 + "x,b\n")
    sharder("split", "drop.csv", "--out", ".", "--block-bytes", block_bytes, cwd=tmp_path)
    column = json.loads(sharder("info", "log_quest", "--json", cwd=tmp_path).stdout)[0]
    assert (column["distinct"], column["distinct_exact"]) == (2, is_exact)
    assert ([spelling, 100] in column["top"]) == column["top_exact"] == is_exact


def test_a_spelling_of_nan_beside_another_marker_is_missing_too(tmp_path: Path) -> None:
    write(tmp_path, "id,power\n1,5\n2,NAN\n3,nan\n4, nan\n5,1e999\n6,\n7,7\n")
    sharder("split", "drop.csv", "--out", ".", cwd=tmp_path)
    power = json.loads(sharder("info", "log_quest", "--json", cwd=tmp_path).stdout)[1]
    assert (power["type"], power["missing"], power["distinct"]) == ("integer", 5, 2)
    assert power["missing_markers"] == ["1e999", "NAN", "nan"]
