"""The program `sharder`, run as a user runs it."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest
from patience import PATIENCE_S
from splitting import SAMPLE, SHARDER, failure, sharder, tree, write


def test_the_only_line_on_stdout_is_the_dataset(tmp_path: Path) -> None:
    done = sharder("split", SAMPLE, "--out", "data", cwd=tmp_path)
    assert done.stdout == "data/log_quest\n"
    assert "1,200 records = " in done.stderr
    assert sorted(path.name for path in tmp_path.glob("data/*")) == [
        "log_quest",
        "log_quest_validate",
    ]
    assert [path.name for path in sorted(tmp_path.glob("data/log_quest/*"))] == [
        "manifest.json",
        "splited",
        "state_1.msgpack",
    ]


def test_shards_have_a_header_and_a_thousand_records(tmp_path: Path) -> None:
    write(tmp_path, "n\n" + "".join(f"{n}\n" for n in range(2500)))
    sharder(
        "split",
        "drop.csv",
        "--out",
        ".",
        "--name",
        "numbers",
        "--validate-fraction",
        0,
        cwd=tmp_path,
    )
    shards = tree(tmp_path / "numbers" / "splited")
    assert list(shards) == ["split_data_00000.csv", "split_data_00001.csv", "split_data_00002.csv"]
    assert [len(data.splitlines()) for data in shards.values()] == [1001, 1001, 501]
    assert all(data.startswith(b"n\n") for data in shards.values())
    assert not (tmp_path / "numbers_validate").exists()


def test_info_prints_a_table(tmp_path: Path) -> None:
    sharder("split", SAMPLE, "--out", "data", cwd=tmp_path)
    shown = sharder("info", "data/log_quest", cwd=tmp_path).stdout
    assert "1,200 records = " in shown
    assert "player_class" in shown


def test_an_ascii_terminal_gets_the_path_as_it_is_and_tables_in_escapes(tmp_path: Path) -> None:
    write(tmp_path, "職業\n" + "魔法使い\n" * 20)
    ascii_only = os.environ | {"PYTHONIOENCODING": "ascii"}
    split = [SHARDER, "split", "drop.csv", "--out", "データ"]
    done = subprocess.run(
        split, cwd=tmp_path, env=ascii_only, capture_output=True, timeout=PATIENCE_S
    )
    assert done.stdout.decode() == "データ/log_quest\n"
    info = [SHARDER, "info", "データ/log_quest"]
    shown = subprocess.run(
        info, cwd=tmp_path, env=ascii_only, capture_output=True, timeout=PATIENCE_S
    )
    assert rb"\u8077\u696d" in shown.stdout


def test_several_sources_are_one_table(tmp_path: Path) -> None:
    write(tmp_path, "a,b\n1,2\n3,4", "one.csv")
    write(tmp_path, "a,b\r\n5,6\r\n", "two.csv")
    sharder("split", "one.csv", "two.csv", "--out", ".", "--validate-fraction", 0, cwd=tmp_path)
    assert tree(tmp_path / "log_quest" / "splited") == {
        "split_data_00000.csv": b"a,b\n1,2\n3,4\n5,6\r\n"
    }
    write(tmp_path, "a,c\n5,6\n", "three.csv")
    message = failure("split", "one.csv", "three.csv", "--out", "x", cwd=tmp_path)
    assert "three.csv: header: expected the columns of one.csv, found no 'b' but 'c'" in message


def test_an_empty_column_name_and_a_byte_order_mark_are_accepted(tmp_path: Path) -> None:
    write(tmp_path, b'\xef\xbb\xbf"","b"\n"1",2\n')
    sharder("split", "drop.csv", "--out", ".", "--validate-fraction", 0, cwd=tmp_path)
    shard = tmp_path / "log_quest" / "splited" / "split_data_00000.csv"
    assert shard.read_bytes() == b'"","b"\n"1",2\n'


def test_help_answers_without_loading_dask(tmp_path: Path) -> None:
    heavy = "{'dask', 'pyarrow', 'pandas', 'fsspec'}"
    code = f"import sys, sharder.cli; print(sorted({heavy} & sys.modules.keys()))"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout == "[]\n"
    assert "SOURCE" in sharder("split", "--help", cwd=tmp_path).stdout


def test_wrong_usage_exits_with_2(tmp_path: Path) -> None:
    assert "--out" in sharder("split", SAMPLE, cwd=tmp_path, status=2).stderr
    unset = sharder("split", SAMPLE, "--out", "", cwd=tmp_path, status=2).stderr
    assert "the path is empty: is a shell variable not set?" in unset
    for option, value in (("--rows-per-shard", 0), ("--name", ".."), ("--name", ""),
                          ("--name", "a_validate")):  # fmt: skip
        done = sharder("split", SAMPLE, "--out", "x", option, value, cwd=tmp_path, status=2)
        assert f"{option}: expected " in done.stderr


@pytest.mark.parametrize("names", [b"a\nb", b"a,\xff"])
def test_names_of_columns_that_cannot_be_are_wrong_usage(tmp_path: Path, names: bytes) -> None:
    options = ("--out", "x", "--no-header", "--columns", os.fsdecode(names))
    assert "--columns: " in sharder("split", SAMPLE, *options, cwd=tmp_path, status=2).stderr


def test_blank_lines_hide_no_records(tmp_path: Path) -> None:
    write(tmp_path, "\n" * 3000 + "a,b\n" + "\n" * 100_000 + "1,2\n" * 30)
    done = sharder("split", "drop.csv", "--out", ".", cwd=tmp_path)
    assert "30 records = " in done.stderr


def test_a_byte_order_mark_inside_a_file_is_data(tmp_path: Path) -> None:
    body = b'\xef\xbb\xbf"x,y"\n1,2\n3,4\n'
    write(tmp_path, b"a,b\n" + body)
    sharder("split", "drop.csv", "--out", ".", "--validate-fraction", 0, cwd=tmp_path)
    shard = tmp_path / "log_quest" / "splited" / "split_data_00000.csv"
    assert shard.read_bytes() == b"a,b\n" + body
