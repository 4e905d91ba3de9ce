"""Which side a record goes to: by its number, or with its group."""

from __future__ import annotations

from pathlib import Path
from random import Random

import msgspec
import pytest
from splitting import failure, read_side, sharder, tree, write

from shared.layout import Side, side_root
from shared.manifest_file import load_manifest, save_manifest


def write_log(directory: Path, *, seed: int = 0, name: str = "drop.csv") -> list[list[str]]:
    random = Random(seed)
    rows = []
    for number in range(6000):
        player = random.choice(["", f"p {random.randrange(300)}", f'"魔,{random.randrange(300)}"'])
        rows.append([str(number), player])
    write(directory, "id,player\n" + "".join(",".join(row) + "\n" for row in rows), name)
    return rows


def players(rows: list[dict[str, str]]) -> set[str]:
    return {row["player"] for row in rows} - {""}


@pytest.mark.parametrize("block_bytes", [900, 8 << 20])
def test_a_group_is_on_one_side_also_in_the_next_drop(tmp_path: Path, block_bytes: int) -> None:
    groups: dict[Side, set[str]] = {side: set() for side in Side}
    options = ("--group-by", "player", "--test-fraction", "20%", "--block-bytes", block_bytes)
    for drop in range(2):
        write_log(tmp_path, seed=drop)
        sharder("split", "drop.csv", "--out", ".", "--name", f"drop{drop}", *options, cwd=tmp_path)
        sides = {side: read_side(tmp_path / f"drop{drop}", side) for side in Side}
        assert sum(map(len, sides.values())) == 6000
        # Those without a group go one by one.
        alone = {side: sum(not row["player"] for row in rows) for side, rows in sides.items()}
        assert 0.17 < alone[Side.TEST] / sum(alone.values()) < 0.23
        for side, rows in sides.items():
            groups[side] |= players(rows)
    counts = [len(groups[side]) for side in Side]
    assert sum(counts) == len(set.union(*groups.values()))
    assert 0.05 < counts[1] / sum(counts) < 0.15
    assert 0.14 < counts[2] / sum(counts) < 0.26


def test_verify_proves_that_no_group_is_on_two_sides(tmp_path: Path) -> None:
    write_log(tmp_path)
    # From a stream, which has empty blocks behind its end.
    source = (tmp_path / "drop.csv").read_bytes()
    sharder("split", "-", "--out", ".", "--group-by", "player", cwd=tmp_path, stdin=source)
    assert "no player is on two sides" in sharder("verify", "log_quest", cwd=tmp_path).stdout
    assert (
        "split by player, 0.1 for validation" in sharder("info", "log_quest", cwd=tmp_path).stdout
    )
    manifest = load_manifest(tmp_path / "log_quest")
    assert manifest is not None
    for side in (Side.TRAIN, Side.VALIDATE):
        entry, found = manifest.sides[side], players(read_side(tmp_path / "log_quest", side))
        assert (entry.groups, entry.shared_groups) == (len(found), 0)
    # A manifest that tells of another rule than the run had.
    other = msgspec.structs.replace(manifest.split, seed=1)
    save_manifest(msgspec.structs.replace(manifest, split=other), tmp_path / "log_quest")
    message = failure("verify", "log_quest", cwd=tmp_path)
    assert "split_data_00000.csv: record " in message
    assert "expected a player of the train side, found '" in message


def test_a_test_side_takes_nothing_from_validation(tmp_path: Path) -> None:
    write_log(tmp_path)
    sharder("split", "drop.csv", "--out", "two", cwd=tmp_path)
    sharder("split", "drop.csv", "--out", "three", "--test-fraction", 0.3, cwd=tmp_path)
    name = side_root(Path("log_quest"), Side.VALIDATE)
    assert tree(tmp_path / "two" / name) == tree(tmp_path / "three" / name)
    count = len(read_side(tmp_path / "three/log_quest", Side.TEST))
    assert 0.27 < count / 6000 < 0.33
    assert not (tmp_path / "two/log_quest_test").exists()


def test_a_rule_that_cannot_be_is_refused(tmp_path: Path) -> None:
    write_log(tmp_path)
    message = failure("split", "drop.csv", "--out", ".", "--group-by", "team", cwd=tmp_path)
    assert "--group-by team: expected one of the columns id, player, found no such" in message
    names = [f"c{number}" for number in range(5000)]
    (tmp_path / "wide.csv").write_text(f"{','.join(names)}\n{','.join(names)}\n")
    message = failure("split", "wide.csv", "--out", ".", "--group-by", "c5001", cwd=tmp_path)
    assert "c98, c99, … (5,000 in all), found no such column; is 'c501' meant" in message
    options = ("--validate-fraction", 0.6, "--test-fraction", 0.5)
    done = sharder("split", "drop.csv", "--out", ".", *options, cwd=tmp_path, status=2)
    assert "--test-fraction: expected 0 to 0.39, found 0.5" in done.stderr
    options = ("--validate-fraction", 0.9, "--test-fraction", 0.09)
    sharder("split", "drop.csv", "--out", ".", *options, cwd=tmp_path)
