"""The quest log's maker, run as its users run it; Python's `csv` module says what a record is."""

from __future__ import annotations

import csv
import io
import subprocess
import sys
from collections import Counter
from pathlib import Path

import pytest
from patience import PATIENCE_S

DATA = Path(__file__).parents[1] / "data"
Records = list[dict[str, str]]

HEADER = (
    "record_id,player_id,started_at,player_level,player_class,quest_id,difficulty,party_size,"
    "device,country,region,server_id,app_version,game_mode,first_try,power,accuracy,"
    "stat_00,stat_01,stat_02,stat_03,stat_04,stat_05,stat_06,stat_07,stat_08,stat_09,stat_10,"
    "stat_11,comment,clear"
)


def run(*options: str) -> subprocess.CompletedProcess[bytes]:
    command = [sys.executable, str(DATA / "make_quest_log.py"), *options]
    return subprocess.run(command, capture_output=True, check=False, timeout=PATIENCE_S)


def make(*options: str) -> bytes:
    done = run(*options)
    assert (done.returncode, done.stderr) == (0, b"")
    return done.stdout


def read(log: bytes) -> Records:
    rows = list(csv.reader(io.StringIO(log.decode(), newline=""), strict=True))
    assert {len(row) for row in rows} == {31}
    return [dict(zip(rows[0], row, strict=True)) for row in rows[1:]]


def clear_rate(records: Records) -> float:
    return sum(record["clear"] == "1" for record in records) / len(records)


@pytest.fixture(scope="module")
def plain() -> bytes:
    return make("--records", "20000")


@pytest.fixture(scope="module")
def messy() -> bytes:
    return make("--records", "20000", "--messy")


@pytest.fixture(scope="module")
def records(plain: bytes) -> Records:
    return read(plain)


def test_a_plain_log_has_a_header_and_a_line_for_each_record(plain: bytes) -> None:
    lines = plain.decode().split("\n")
    assert lines[0] == HEADER
    assert len(lines) == 1 + 20_000 + 1
    assert lines[-1] == ""
    assert b'"' not in plain
    assert b"\r" not in plain
    assert {line.count(",") for line in lines[:-1]} == {30}
    assert 205 < len(plain) / 20_000 < 225


def test_a_messy_log_has_as_many_records_as_asked_for(messy: bytes) -> None:
    assert len(read(messy)) == 20_000
    assert messy.count(b"\n") > 24_000
    assert messy.endswith(b"\n")


def test_a_messy_log_differs_from_the_plain_one_in_comments_only(
    messy: bytes, records: Records
) -> None:
    assert [record | {"comment": ""} for record in read(messy)] == [
        record | {"comment": ""} for record in records
    ]


def test_a_fifth_of_the_messy_comments_are_nasty_in_every_way(messy: bytes) -> None:
    comments = [record["comment"] for record in read(messy)]
    nasty = [comment for comment in comments if set(comment) & set(',"\r\n')]
    assert len(nasty) / 20_000 == pytest.approx(0.2, abs=0.01)
    for thing in (",", '"', "\n\n", "\r\n", '\n"', "クエスト", "、"):
        assert sum(thing in comment for comment in nasty) > 100, thing
    assert any(comment.startswith('"') for comment in nasty)
    assert any(comment.endswith("\r\n2,1\n") for comment in nasty)


def test_the_same_seed_makes_the_beginning_of_a_longer_log(plain: bytes, messy: bytes) -> None:
    short = make("--records", "9000", "--seed", "0")
    assert short.count(b"\n") == 1 + 9_000
    assert plain.startswith(short)
    assert messy.startswith(make("--records", "8193", "--messy"))


def test_another_seed_makes_another_log(plain: bytes) -> None:
    other = make("--records", "20000", "--seed", "1")
    assert len(set(other.split(b"\n")) & set(plain.split(b"\n"))) == 2  # the header, and no line


def test_the_sample_is_what_the_command_in_the_docstring_makes() -> None:
    sample = (DATA / "quest_log_sample.csv").read_bytes()
    assert make("--records", "1200", "--messy", "--out", "-") == sample
    assert len(sample) <= 300_000


def test_a_file_gets_its_name_when_it_is_complete(tmp_path: Path) -> None:
    out = tmp_path / "log.csv"
    out.write_text("old")
    assert make("--records", "10", "--out", str(out)) == b""
    assert len(read(out.read_bytes())) == 10
    assert list(tmp_path.iterdir()) == [out]


def test_a_folder_that_does_not_exist_is_one_message(tmp_path: Path) -> None:
    done = run("--records", "10", "--out", str(tmp_path / "no" / "log.csv"))
    assert done.returncode == 1
    assert done.stderr.decode().startswith("Error: ")
    assert done.stderr.decode().endswith("log.csv: cannot be written: No such file or directory\n")


def test_a_device_is_never_replaced_by_a_file() -> None:
    done = run("--records", "10", "--out", "/dev/null")
    assert done.returncode == 2
    assert b"use --out -" in done.stderr


def test_ids_are_unique_and_time_never_goes_back(records: Records) -> None:
    ids = [int(record["record_id"]) for record in records]
    assert ids == list(range(100_000_001, 100_020_001))
    times = [record["started_at"] for record in records]
    assert times == sorted(times)
    assert times[0].startswith("2024-01-01 0")
    evenings = sum(" 20:" <= time[10:14] < " 22:" for time in times)
    mornings = sum(" 03:" <= time[10:14] < " 05:" for time in times)
    assert evenings > 10 * mornings


def test_players_and_quests_have_a_long_tail(records: Records) -> None:
    for column, least_values in (("player_id", 5_000), ("quest_id", 3_000)):
        counts = Counter(record[column] for record in records).most_common()
        assert len(counts) > least_values
        assert counts[0][1] > 50 * counts[-1][1]


def test_values_are_missing_at_the_rates_of_the_docstring(records: Records) -> None:
    percent = {
        column: 100 * sum(not record[column] for record in records) / 20_000
        for column in records[0]
    }
    assert {column: value for column, value in percent.items() if value} == pytest.approx(
        {
            "player_class": 1,
            "party_size": 0.5,
            "device": 8,
            "country": 2,
            "app_version": 4,
            "power": 0.5,
            "accuracy": 3,
            "stat_01": 2,
            "stat_02": 10,
            "stat_06": 5,
            "stat_07": 60,
            "stat_09": 25,
            "stat_10": 1,
            "comment": 88,
        },
        rel=0.02,
        abs=0.4,
    )


def test_clear_is_learnable_and_not_by_a_linear_model_alone(records: Records) -> None:
    assert clear_rate(records) == pytest.approx(0.57, abs=0.05)

    def rate(column: str, value: str) -> float:
        return clear_rate([record for record in records if record[column] == value])

    rates = [rate("difficulty", value) for value in ("easy", "normal", "hard", "nightmare")]
    assert rates == sorted(rates, reverse=True)
    assert rates[0] - rates[-1] > 0.25
    assert rate("device", "") < rate("device", "android") - 0.05

    def is_negative(record: dict[str, str], column: str) -> bool:
        return record[column].startswith("-")

    below = [record for record in records if is_negative(record, "stat_03")]
    both = [record for record in below if is_negative(record, "stat_04")]
    assert clear_rate(below) == pytest.approx(clear_rate(records), abs=0.02)
    assert clear_rate(both) > clear_rate(below) + 0.06
