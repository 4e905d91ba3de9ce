"""`--time-column`: the last records by time are for validation, and the last of all for a test."""

from __future__ import annotations

import io
import shutil
import signal
from pathlib import Path
from random import Random

import pyarrow as pa
import pytest
from hypothesis import given
from hypothesis import strategies as st
from killing import OPTIONS, cut_off
from msgspec.structs import replace
from splitting import failure, read_side, sharder, tree, write

from sharder.sides.quantile import Timeline
from shared.layout import Side
from shared.manifest import Split
from shared.manifest_file import load_manifest, save_manifest

SHARES = ("--validate-fraction", "15%", "--test-fraction", "10%")


def write_log(directory: Path, records: int) -> list[str]:
    """Write a log whose times are in no order, and some of which are the same."""
    random = Random(0)
    days = [f"2025-04-{day:02d}" for day in range(1, 31)]
    times = [
        f"{random.choice(days)}{random.choice(['', f' {random.randrange(24):02d}:30'])}"
        for _ in range(records)
    ]
    lines = [f'{number},"x\n{number}",{time}\n' for number, time in enumerate(times)]
    write(directory, "id,note,at\n" + "".join(lines))
    return [time if " " in time else f"{time} 00:00" for time in times]


def test_the_last_records_by_time_are_apart_and_none_is_on_two_sides(tmp_path: Path) -> None:
    times = write_log(tmp_path, 2000)
    for out, block_bytes, workers in (("one", 500, 3), ("two", 8 << 20, 1)):
        options = ("--time-column", "at", "--block-bytes", block_bytes, "--workers", workers)
        done = sharder("split", "drop.csv", "--out", out, *options, *SHARES, cwd=tmp_path)
    assert tree(tmp_path / "one") == tree(tmp_path / "two")
    # At least 200 records for the test and 300 for validation, with all of the same time.
    in_order = sorted(times)
    test_from = in_order[1800]
    left = [time for time in in_order if time < test_from]
    validate_from = left[len(left) - 300]
    assert (validate_from, test_from) == ("2025-04-23 00:00", "2025-04-28 00:00")
    assert "validation from 2025-04-23, test from 2025-04-28, by 2,000 times" in done.stderr
    dataset = tmp_path / "one/log_quest"
    for side, (low, high) in {
        Side.TRAIN: ("", validate_from),
        Side.VALIDATE: (validate_from, test_from),
        Side.TEST: (test_from, "9"),
    }.items():
        expected = [number for number, time in enumerate(times) if low <= time < high]
        assert [int(row["id"]) for row in read_side(dataset, side)] == expected
    told = sharder("verify", dataset, cwd=tmp_path).stdout
    assert "no at of training is later than one of another side" in told
    told = sharder("info", dataset, cwd=tmp_path).stdout
    assert f"\ntest: 2025-04-28 to {in_order[-1]}:00\n" in told
    # A manifest that is not true: of the range, and of the rule.
    manifest = load_manifest(dataset)
    assert manifest is not None
    manifest.sides[Side.TRAIN] = replace(
        manifest.sides[Side.TRAIN], times=("2025-03-01", "2025-04-01")
    )
    save_manifest(manifest, dataset)
    message = failure("verify", dataset, cwd=tmp_path)
    assert "splited: expected times: ('2025-03-01', '2025-04-01'), found ('2025-04-0" in message
    rule = replace(manifest.split, validate_from="2025-04-02")
    save_manifest(replace(manifest, split=rule), dataset)
    message = failure("verify", dataset, cwd=tmp_path)
    assert "record 1: expected a at of the train side" in message


@pytest.mark.parametrize(
    ("times", "cut", "training"),
    [
        (["3", "1", "", "2", "x"], "2", ["1"]),
        (["1743465600000000001", "1743465600000000000"], "1743465600000000001", ["1"]),
        (["-0.5", "nan", "0.25", "1e-3"], "0.0", ["0"]),
        (["2025-04-01T09:00:00+09:00", "2025-03-31 23:59:59.999999999Z"], "2025-04-01 00:00Z", "1"),
        (["2025-04-01 00:00", "2025-02-30", " 2025-03-31 "], "2025-04-01", ["2"]),
    ],
)
def test_a_stream_is_split_at_a_time_and_what_is_none_is_rejected(
    tmp_path: Path, times: list[str], cut: str, training: list[str]
) -> None:
    text = "id,at\n" + "".join(f"{number},{time}\n" for number, time in enumerate(times))
    options = ("--time-column", "at", "--validate-from", cut, "--max-rejected", 1)
    done = sharder("split", "-", "--out", ".", *options, cwd=tmp_path, stdin=text.encode())
    dataset = tmp_path / "log_quest"
    assert [row["id"] for row in read_side(dataset, Side.TRAIN)] == list(training)
    bad = [time for time in times if time in ("", "x", "nan", "2025-02-30")]
    assert f"+ {len(bad)} rejected" in done.stderr
    if bad:
        told = sharder("rejected", dataset, cwd=tmp_path).stdout
        assert "no time in at" in told or f"at is '{bad[0]}', no " in told
    sharder("verify", dataset, cwd=tmp_path)


def test_a_killed_run_goes_on_without_a_second_look_at_the_times(tmp_path: Path) -> None:
    write_log(tmp_path, 5000)
    rule = ("--time-column", "at", *SHARES)
    sharder("split", "drop.csv", *OPTIONS, *rule, cwd=tmp_path)
    undisturbed = tree(tmp_path / "data")
    shutil.rmtree(tmp_path / "data")
    assert "were looked at" in cut_off(tmp_path, signal.SIGKILL, *rule)
    done = sharder("split", "drop.csv", *OPTIONS, *rule, cwd=tmp_path)
    assert "going on at " in done.stderr
    assert "were looked at" not in done.stderr
    assert tree(tmp_path / "data") == undisturbed


numbers = st.integers(-(2**63), 2**63 - 1) | st.integers(-3, 3)
fractions = st.floats(allow_nan=False, allow_infinity=False) | st.sampled_from([0.0, -0.0, 0.5])


@given(
    st.lists(numbers, min_size=1) | st.lists(fractions, min_size=1),
    st.sampled_from([0.0, 0.1, 0.3, 0.5]),
    st.sampled_from([0.1, 0.25, 0.4]),
)
def test_the_times_that_part_the_sides_are_exact(
    times: list[int] | list[float], test: float, validate: float
) -> None:
    timeline = Timeline("at", io.BytesIO())
    timeline.add(pa.array([*map(repr, times), "", "never"]))
    rule = Split(by="time", column="at", seed=0, validate_fraction=validate, test_fraction=test)
    found = timeline.find_cuts(rule)
    left = sorted(times)
    for share, cut in ((test, found.test_from), (validate, found.validate_from)):
        size = -(-round(share * 100) * len(times) // 100)
        if not size or not left:
            assert share or cut is None
            continue
        expected = left[max(len(left) - size, 0)]
        assert cut is not None
        assert type(expected)(cut) == expected
        left = [time for time in left if time < expected]


def test_what_cannot_be_split_by_time_is_refused(tmp_path: Path) -> None:
    write(tmp_path, "id,at\n1,monday\n2,\n")
    split = ("split", "drop.csv", "--out", "data", "--time-column", "at")
    message = failure(*split, cwd=tmp_path)
    assert "--time-column at: expected timestamps, integers or numbers, found none" in message
    assert [path.name for path in tmp_path.iterdir()] == ["drop.csv"]
    write(tmp_path, "id,at\n" + "1,monday\n2,\n" * 5000, "long.csv")
    message = failure("split", "long.csv", *split[2:], "--block-bytes", 999, cwd=tmp_path)
    assert (
        "--time-column at: expected timestamps, integers or numbers, found none in the" in message
    )
    message = failure(*split, "--validate-from", "2025-04-01", cwd=tmp_path)
    assert "record 1 (line 2, byte 6): at is 'monday', no timestamp without a zone" in message
    message = failure("split", "-", *split[2:], cwd=tmp_path, stdin=b"id,at\n1,5\n")
    assert "stdin: expected a file, whose times are looked at before it is split" in message
    for options, told in (
        (("--validate-from", "april"), "--validate-from: expected a time such as 2025-04-01"),
        (("--validate-from", "5", "--test-from", "2025-04-01"), "a later integer than"),
        (("--validate-from", "5", "--test-fraction", "0.1"), "times or shares that part the sides"),
        (("--validate-from", "5", "--validate-fraction", "0.1"), "times or shares that part"),
        (("--test-from", "5"), "--test-from: expected --validate-from, found none"),
        (("--validate-fraction", "0"), "--time-column: expected --validate-from, or a share"),
        (("--group-by", "id"), "--group-by and --time-column: expected one rule"),
    ):
        assert told in sharder(*split, *options, cwd=tmp_path, status=2).stderr
