"""The program `sharder`, run as a user runs it."""

from __future__ import annotations

import json
import os
import re
import shutil
import signal
import subprocess
import sys
from pathlib import Path
from random import Random

import pytest
from splitting import SAMPLE, SHARDER, failure, sharder, shell, trapped, tree, write


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
    done = sharder(
        *("split", "drop.csv", "--out", ".", "--block-bytes", "1MiB", "--workers", 2),
        *("--rows-per-shard", 50),
        cwd=tmp_path,
    )
    (peak,) = re.findall(r"at most (\d+) MiB of memory", done.stderr)
    assert int(peak) <= 2 * 8 + 200


def test_of_a_long_text_the_profile_keeps_the_beginning(tmp_path: Path) -> None:
    write(tmp_path, "a\n" + "".join(f"{letter * 300_000}\n" for letter in "cab"))
    sharder("split", "drop.csv", "--out", ".", "--validate-fraction", 0, cwd=tmp_path)
    (column,) = json.loads(sharder("info", "log_quest", "--json", cwd=tmp_path).stdout)
    assert (column["minimum"], column["maximum"]) == ("a" * 256, "c" * 256)


def test_info_prints_a_table(tmp_path: Path) -> None:
    sharder("split", SAMPLE, "--out", "data", cwd=tmp_path)
    shown = sharder("info", "data/log_quest", cwd=tmp_path).stdout
    assert "1,200 records = " in shown
    assert "player_class" in shown


def test_an_ascii_terminal_gets_the_path_as_it_is_and_tables_in_escapes(tmp_path: Path) -> None:
    write(tmp_path, "職業\n" + "魔法使い\n" * 20)
    ascii_only = os.environ | {"PYTHONIOENCODING": "ascii"}
    split = [SHARDER, "split", "drop.csv", "--out", "データ"]
    done = subprocess.run(split, cwd=tmp_path, env=ascii_only, capture_output=True, timeout=60)
    assert done.stdout.decode() == "データ/log_quest\n"
    info = [SHARDER, "info", "データ/log_quest"]
    shown = subprocess.run(info, cwd=tmp_path, env=ascii_only, capture_output=True, timeout=60)
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


def test_bad_records_are_kept_aside_with_place_and_reason(tmp_path: Path) -> None:
    good = b"".join(b'%d,"x\ny"\n' % n for n in range(400))
    write(tmp_path, b"a,b\n\n1,2,3\n" + good + b"4\n5,\xff\n6,7\n")
    done = sharder("split", "drop.csv", "--out", ".", cwd=tmp_path)
    assert "3 rejected" in done.stderr
    rejected = tree(tmp_path / "log_quest" / "rejected")
    assert rejected["records.csv"] == b"1,2,3\n4\n5,\xff\n"
    assert rejected["reasons.csv"].decode().splitlines() == [
        "source,record,line,offset,bytes,reason",
        'drop.csv,1,3,5,6,"3 fields, the header has 2"',
        f'drop.csv,402,804,{11 + len(good)},2,"1 fields, the header has 2"',
        f"drop.csv,403,805,{13 + len(good)},4,not UTF-8",
    ]
    assert sharder("rejected", "log_quest", cwd=tmp_path).stdout.splitlines() == [
        "drop.csv: record 1 (line 3, byte 5): 3 fields, the header has 2: b'1,2,3\\n'",
        f"drop.csv: record 402 (line 804, byte {11 + len(good)}): "
        "1 fields, the header has 2: b'4\\n'",
        f"drop.csv: record 403 (line 805, byte {13 + len(good)}): not UTF-8: b'5,\\xff\\n'",
    ]
    raw = subprocess.run(
        [SHARDER, "rejected", "log_quest", "--raw"], cwd=tmp_path, capture_output=True, check=True
    )
    assert raw.stdout == b"1,2,3\n4\n5,\xff\n"
    sharder("verify", "log_quest", cwd=tmp_path)
    os.truncate(tmp_path / "log_quest/rejected/records.csv", 8)
    told = sharder("rejected", "log_quest", cwd=tmp_path, status=1).stderr
    assert "found the end of records.csv within a record" in told


def test_too_many_bad_records_fail_the_run_and_leave_nothing(tmp_path: Path) -> None:
    write(tmp_path, "a,b\n" + "1,2\n" * 50 + "3\n")
    message = failure("split", "drop.csv", "--out", "data", cwd=tmp_path)
    assert "1 of 51" in message
    assert "drop.csv: record 51 (line 52, byte 204): 1 fields, the header has 2" in message
    assert "--max-rejected" in message
    assert not (tmp_path / "data").exists()
    sharder("split", "drop.csv", "--out", "data", "--max-rejected", "2%", cwd=tmp_path)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        (b"", "expected a header and records, found an empty file"),
        (b"\n\n", "expected a header and records, found an empty file"),
        (b"a,b\n", "expected records, found a header and no record behind it"),
        (b"a,b,a\n1,2,3\n", "header: expected different names, found 'a' 2 times"),
        ("名前,b\n1,2\n".encode("cp932"), "header: expected UTF-8, found byte 0x96"),
        (b'a,b\n1,2\n3,"x\ny\n', "record 2 (line 3, byte 8): expected a quote that closes"),
        (b'a,b\n1,2\n3,"' + b"x" * 5000, "record 2 (line 3, byte 8): expected a record of at most"),
    ],
)  # fmt: skip
def test_a_bad_source_gets_one_clear_message(tmp_path: Path, text: bytes, message: str) -> None:
    write(tmp_path, text)
    options = ("--max-record-bytes", 4000, "--block-bytes", 1000)
    assert f"drop.csv: {message}" in failure(
        "split", "drop.csv", "--out", "data/of/june", *options, cwd=tmp_path
    )
    assert not (tmp_path / "data").exists()


def test_a_missing_source_is_named(tmp_path: Path) -> None:
    message = failure("split", "nowhere.csv", "--out", "data", cwd=tmp_path)
    assert "nowhere.csv: expected a CSV file, found no such file" in message
    message = failure("split", ".", "--out", "data", cwd=tmp_path)
    assert "expected a readable file, found Is a directory" in message


def test_an_empty_column_name_and_a_byte_order_mark_are_accepted(tmp_path: Path) -> None:
    write(tmp_path, b'\xef\xbb\xbf"","b"\n"1",2\n')
    sharder("split", "drop.csv", "--out", ".", "--validate-fraction", 0, cwd=tmp_path)
    shard = tmp_path / "log_quest" / "splited" / "split_data_00000.csv"
    assert shard.read_bytes() == b'"","b"\n"1",2\n'


def test_an_existing_dataset_is_replaced_only_with_overwrite(tmp_path: Path) -> None:
    write(tmp_path, "a\n" + "1\n" * 3000)
    sharder("split", "drop.csv", "--out", "data", cwd=tmp_path)
    before = tree(tmp_path / "data")
    assert "--overwrite" in failure("split", "drop.csv", "--out", "data", cwd=tmp_path)
    write(tmp_path, 'a\n1\n"2\n')
    failure("split", "drop.csv", "--out", "data", "--overwrite", cwd=tmp_path)
    assert tree(tmp_path / "data") == before
    write(tmp_path, "a\n" + "2\n" * 10)
    sharder("split", "drop.csv", "--out", "data", "--overwrite", cwd=tmp_path)
    sharder("verify", "data/log_quest", cwd=tmp_path)
    assert len(tree(tmp_path / "data" / "log_quest" / "splited")) == 1


def test_a_run_without_room_is_refused_before_anything_is_written(tmp_path: Path) -> None:
    write(tmp_path, "a,b\n1,2\n")
    with (tmp_path / "drop.csv").open("r+b") as file:
        file.truncate(1 << 43)  # a hole: 8 TiB in size, one page on disk
    message = failure("split", "drop.csv", "--out", "data", cwd=tmp_path)
    assert " free for the shards" in message
    assert not (tmp_path / "data").exists()


def test_ctrl_c_leaves_nothing_and_a_killed_run_is_cleaned_by_the_next(tmp_path: Path) -> None:
    write(tmp_path, "a,b\n" + '1,"some text"\n' * 10_000)
    command = [SHARDER, "split", "drop.csv", "--out", "data", "--block-bytes", "20KiB"]

    def start(number: signal.Signals) -> subprocess.Popen[bytes]:
        return subprocess.Popen(
            command, cwd=tmp_path, env=trapped(tmp_path, number), stderr=subprocess.PIPE
        )

    killed = start(signal.SIGKILL)
    killed.communicate(timeout=60)
    assert killed.returncode == -signal.SIGKILL
    assert [path.name for path in (tmp_path / "data").iterdir()] == [".log_quest.partial"]

    interrupted = start(signal.SIGSTOP)
    assert os.WIFSTOPPED(os.waitpid(interrupted.pid, os.WUNTRACED)[1])
    message = failure("split", "drop.csv", "--out", "data", cwd=tmp_path)
    assert "expected no other run with this target" in message
    os.kill(interrupted.pid, signal.SIGINT)
    os.kill(interrupted.pid, signal.SIGCONT)
    _, stderr = interrupted.communicate(timeout=60)
    assert interrupted.returncode == 130, stderr.decode()
    assert b"Traceback" not in stderr
    assert list((tmp_path / "data").iterdir()) == []


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


def test_where_no_byte_can_be_written_nothing_is_left(tmp_path: Path) -> None:
    write(tmp_path, "a\n1\n2\n")
    done = shell("ulimit -f 0; sharder split drop.csv --out data", tmp_path)
    assert (done.returncode, done.stdout) == (1, "")
    assert done.stderr.endswith("expected to write here, found File too large\n")
    assert [path.name for path in tmp_path.iterdir()] == ["drop.csv"]


@pytest.mark.parametrize("option", ["--profile", "--overwrite"])
def test_a_link_to_nowhere_is_refused_before_the_work(tmp_path: Path, option: str) -> None:
    write(tmp_path, "a\n1\n2\n")
    (tmp_path / "log_quest").symlink_to("nowhere")
    message = failure("split", "drop.csv", "--out", ".", option, cwd=tmp_path)
    assert "log_quest: expected " in message
    assert "give another --name or --out" in message
    assert sorted(path.name for path in tmp_path.iterdir()) == ["drop.csv", "log_quest"]


@pytest.mark.parametrize("names", [b"a\nb", b"a,\xff"])
def test_names_of_columns_that_cannot_be_are_wrong_usage(tmp_path: Path, names: bytes) -> None:
    options = ("--out", "x", "--no-header", "--columns", os.fsdecode(names))
    assert "--columns: " in sharder("split", SAMPLE, *options, cwd=tmp_path, status=2).stderr


def test_overwrite_replaces_nothing_that_is_no_dataset(tmp_path: Path) -> None:
    write(tmp_path, "a\n1\n2\n")
    precious = tmp_path / "src" / "main.py"
    precious.parent.mkdir()
    precious.write_text("precious")
    options = ("--out", ".", "--name", "src", "--validate-fraction", 0, "--overwrite")
    assert "main.py, which is no part of one" in failure(
        "split", "drop.csv", *options, cwd=tmp_path
    )
    assert precious.read_text() == "precious"


@pytest.mark.parametrize("published", ["nothing", "validation side"])
def test_a_run_killed_while_it_replaced_a_dataset_leaves_the_old_one(
    tmp_path: Path, published: str
) -> None:
    write(tmp_path, "a\n" + "1\n" * 3000)
    sharder("split", "drop.csv", "--out", "data", cwd=tmp_path)
    before = tree(tmp_path / "data")
    # As SIGKILL between two renames leaves it: the old sides aside, the new ones on their way.
    partial = tmp_path / "data" / ".log_quest.partial"
    shutil.copytree(tmp_path / "data" / "log_quest", partial / "log_quest")
    (partial / ".retired").mkdir()
    for name in ("log_quest", "log_quest_validate"):
        (tmp_path / "data" / name).rename(partial / ".retired" / name)
    if published == "validation side":
        (tmp_path / "data" / "log_quest_validate" / "splited").mkdir(parents=True)
    write(tmp_path, "a\n" + "1\n" * 50_000 + '"2\n', "bad.csv")
    sharder("split", "bad.csv", "--out", "data", "--overwrite", cwd=tmp_path, status=1)
    assert tree(tmp_path / "data") == before


def test_blank_lines_hide_no_records(tmp_path: Path) -> None:
    write(tmp_path, "\n" * 3000 + "a,b\n" + "\n" * 100_000 + "1,2\n" * 30)
    done = sharder("split", "drop.csv", "--out", ".", cwd=tmp_path)
    assert "30 records = " in done.stderr


def test_many_bad_records_are_told_in_a_moment(tmp_path: Path) -> None:
    write(tmp_path, "a,b\n" + "1,2,\n" * 300_000)
    message = failure("split", "drop.csv", "--out", "data", cwd=tmp_path)  # took minutes once
    assert "record 1 (line 2, byte 4): 3 fields, the header has 2" in message


def test_a_byte_order_mark_inside_a_file_is_data(tmp_path: Path) -> None:
    body = b'\xef\xbb\xbf"x,y"\n1,2\n3,4\n'
    write(tmp_path, b"a,b\n" + body)
    sharder("split", "drop.csv", "--out", ".", "--validate-fraction", 0, cwd=tmp_path)
    shard = tmp_path / "log_quest" / "splited" / "split_data_00000.csv"
    assert shard.read_bytes() == b"a,b\n" + body


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
