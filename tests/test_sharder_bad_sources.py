"""Sources and records that are not as they should be: told where and why, and kept aside."""

from __future__ import annotations

import os
import subprocess
from pathlib import Path

import pytest
from splitting import SHARDER, failure, sharder, tree, write


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


def test_many_bad_records_are_told_in_a_moment(tmp_path: Path) -> None:
    write(tmp_path, "a,b\n" + "1,2,\n" * 300_000)
    message = failure("split", "drop.csv", "--out", "data", cwd=tmp_path)  # took minutes once
    assert "record 1 (line 2, byte 4): 3 fields, the header has 2" in message
