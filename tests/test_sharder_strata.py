"""`--stratify`: each side gets its share of each class, exact to one record."""

from __future__ import annotations

import shutil
import signal
from collections import Counter
from pathlib import Path
from random import Random

import numpy as np
from hypothesis import given
from hypothesis import strategies as st
from killing import OPTIONS, cut_off
from msgspec.structs import replace
from splitting import failure, read_side, sharder, tree, write

from sharder.sides.strata import deal
from shared.layout import Side
from shared.manifest_file import load_manifest, save_manifest
from shared.splitmix import mix

SHARES = {Side.TRAIN: 0.775, Side.VALIDATE: 0.15, Side.TEST: 0.075}
RULE = ("--stratify", "label", "--validate-fraction", "15%", "--test-fraction", 0.075)


def write_log(directory: Path, records: int) -> Path:
    random = Random(0)
    labels = ["yes"] * 700 + ["no"] * 250 + ["", '"a,\n""b"""', "魔"] * 16 + ["once"] * 2
    lines = [f"{number},{random.choice(labels)}\n" for number in range(records)]
    lines[7] = "bad\n"
    return write(directory, "id,label\n" + "".join(lines))


def test_each_side_gets_its_share_of_each_class_to_one_record(tmp_path: Path) -> None:
    write_log(tmp_path, 4321)
    for out, block_bytes, workers in (("one", 700, 3), ("two", 8 << 20, 1)):
        sizes = ("--block-bytes", block_bytes, "--workers", workers)
        sharder("split", "drop.csv", "--out", out, *RULE, *sizes, cwd=tmp_path)
    assert tree(tmp_path / "one") == tree(tmp_path / "two")
    rows = {side: read_side(tmp_path / "one/log_quest", side) for side in Side}
    counts = {side: Counter(row["label"] for row in of) for side, of in rows.items()}
    totals = sum(counts.values(), Counter[str]())
    assert totals.total() == 4320
    assert len(totals) == 6
    for side, share in SHARES.items():
        for label, total in totals.items():
            assert abs(counts[side][label] - share * total) < 1
    # Not every tenth or so: the gaps between the records of a side are of all sizes.
    kept = [int(row["id"]) for row in rows[Side.VALIDATE] if row["label"] == "yes"]
    gaps = Counter(np.diff(kept).tolist())
    assert len(gaps) > 15
    assert max(gaps.values()) < len(kept) / 4
    # Another seed, other records; from a stream, which has empty blocks behind its end.
    source = (tmp_path / "drop.csv").read_bytes()
    options = ("--out", "three", *RULE, "--seed", 1)
    sharder("split", "-", *options, cwd=tmp_path, stdin=source)
    others = {row["id"] for row in read_side(tmp_path / "three/log_quest", Side.VALIDATE)}
    assert len(others & {row["id"] for row in rows[Side.VALIDATE]}) < len(others) / 3

    told = sharder("verify", "one/log_quest", cwd=tmp_path).stdout
    assert "each label has its share of each side, exact to one record" in told
    told = sharder("info", "one/log_quest", cwd=tmp_path).stdout
    assert f"{counts[Side.TEST]['yes']:,}" in told
    # A manifest that is not true: of the classes, and of the rule.
    manifest = load_manifest(tmp_path / "one/log_quest")
    assert manifest is not None
    assert manifest.sides[Side.TRAIN].classes == counts[Side.TRAIN]
    manifest.sides[Side.TRAIN] = replace(
        manifest.sides[Side.TRAIN], classes=dict(counts[Side.TRAIN], yes=0)
    )
    rule = replace(manifest.split, validate_fraction=0.16)
    save_manifest(replace(manifest, split=rule), tmp_path / "one/log_quest")
    message = failure("verify", "one/log_quest", cwd=tmp_path)
    assert "found 2 faults:" in message
    number = counts[Side.TRAIN]["yes"]
    assert f"splited: expected classes, 'yes': 0, found {number}; the manifest is not" in message
    assert "expected the share of each label on each side, exact to one record" in message


def test_a_killed_run_goes_on_with_its_classes(tmp_path: Path) -> None:
    write_log(tmp_path, 16_000)
    rule = tuple(map(str, RULE))
    sharder("split", "drop.csv", *OPTIONS, *rule, cwd=tmp_path)
    undisturbed = tree(tmp_path / "data")
    shutil.rmtree(tmp_path / "data")
    cut_off(tmp_path, signal.SIGKILL, *rule)
    done = sharder("split", "drop.csv", *OPTIONS, *rule, cwd=tmp_path)
    assert "going on at " in done.stderr
    assert tree(tmp_path / "data") == undisturbed


@given(st.integers(0, 60), st.integers(0, 30), st.integers(1, 60), st.integers(0, 2**32))
def test_no_side_is_ever_a_record_ahead_or_behind(
    training: int, validation: int, test: int, seed: int
) -> None:
    quota = (training, validation, test)
    dealt = deal(mix(np.arange(20, dtype=np.uint64) + np.uint64(seed)), quota)
    places = np.arange(1, sum(quota) + 1)
    for side, number in enumerate(quota):
        got = np.cumsum(dealt == side, axis=1)
        assert (np.abs(got * sum(quota) - number * places) < sum(quota)).all()
        assert (got[:, -1] == number).all()


def test_what_cannot_be_stratified_is_refused(tmp_path: Path) -> None:
    write(tmp_path, "id,label\n" + "".join(f"{n},{n % 2}\n" for n in range(100_001)))
    split = ("split", "drop.csv", "--out", "data", "--no-profile")
    message = failure(*split, "--stratify", "id", cwd=tmp_path)
    assert "--stratify id: expected at most 100,000 different values, found more" in message
    assert [path.name for path in tmp_path.iterdir()] == ["drop.csv"]
    fraction = ("--stratify", "label", "--validate-fraction", 0.1234)
    done = sharder(*split, *fraction, cwd=tmp_path, status=2)
    assert "--validate-fraction: expected at most three decimals with --stratify" in done.stderr
    done = sharder(*split, "--stratify", "label", "--group-by", "id", cwd=tmp_path, status=2)
    assert "--group-by and --stratify: expected one rule" in done.stderr
