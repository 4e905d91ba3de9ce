"""`sharder verify` finds all that is not as it was written, in one run."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest
from splitting import failure, sharder, write


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A directory with a dataset of ten shards and more, and rejected records."""
    home = tmp_path_factory.mktemp("made")
    write(home, "a,b\n" + "".join(f"{n},x\n" for n in range(120)) + "bad\n")
    options = ("--rows-per-shard", 10, "--max-rejected", "5%")
    sharder("split", "drop.csv", "--out", ".", *options, cwd=home)
    sharder("verify", "log_quest", cwd=home)
    return home


@pytest.fixture
def home(made: Path, tmp_path: Path) -> Path:
    """A copy of it."""
    shutil.copytree(made, tmp_path, dirs_exist_ok=True)
    return tmp_path


def test_every_planted_damage_is_told_in_one_run(home: Path) -> None:
    log, shards = home / "log_quest", home / "log_quest/splited"
    paths = [shards / f"split_data_{number:05d}.csv" for number in range(10)]
    for number, (old, new) in {0: (b"x", b"y"), 1: (b"a,b", b"a,c")}.items():
        paths[number].write_bytes(paths[number].read_bytes().replace(old, new, 1))
    paths[2].unlink()
    paths[3].write_bytes(paths[3].read_bytes()[:-4])
    fourth, fifth = paths[4].read_bytes(), paths[5].read_bytes()
    paths[4].write_bytes(fifth)
    paths[5].write_bytes(fourth)
    shutil.copy(paths[6], shards / "split_data_00077.csv")
    shutil.copy(paths[6], shards / "split_data_00006 (copy).csv")
    (shards / ".DS_Store").write_text("nobody's data")
    shutil.rmtree(home / "log_quest_validate")
    (log / "rejected/records.csv").write_bytes(b"bat\n")
    (log / "rejected/reasons.csv").unlink()
    told = failure("verify", "log_quest", cwd=home).splitlines()

    assert told[0] == (
        "sharder: error: log_quest: expected all as its manifest says, found 11 faults:"
    )
    again = "; `sharder repair log_quest` writes it anew from its source"
    away = "; it is no part of the dataset: move it elsewhere, as `sharder repair` does"
    splited = "  log_quest/splited"
    told = [line.strip("\n") for line in told[1:]]
    assert told[0] == f"  log_quest/rejected/reasons.csv: found No such file or directory{again}"
    assert told[1].startswith("  log_quest/rejected/records.csv: expected 4 bytes, checksum ")
    assert told[2:4] == [
        f"{splited}: expected 12 train shards and nothing else, found split_data_{name}.csv{away}"
        for name in ("00006 (copy)", "00077")
    ]
    assert told[4].startswith(f"{splited}/split_data_00000.csv: expected checksum ")
    assert told[4].endswith(f": the file was changed{again}")
    assert told[5:10] == [
        f"{splited}/split_data_00001.csv: expected the header a, b, found a, c{again}",
        f"{splited}/split_data_00002.csv: found No such file or directory{again}",
        f"{splited}/split_data_00003.csv: expected 54 bytes, found 50{again}",
        f"{splited}/split_data_00004.csv: expected its own records, "
        f"found those of log_quest/splited/split_data_00005.csv{again}",
        f"{splited}/split_data_00005.csv: expected its own records, "
        f"found those of log_quest/splited/split_data_00004.csv{again}",
    ]
    validate = "  log_quest_validate/splited/split_data_00000.csv"
    assert told[10:] == [f"{validate}: found No such file or directory{again}"]


def test_many_damages_are_counted_and_the_first_told(home: Path) -> None:
    for number in range(30):
        write(home / "log_quest/splited", "a,b\n", f"split_data_{number + 50:05d}.csv")
    told = failure("verify", "log_quest", cwd=home)
    assert "found 30 faults:" in told
    away = "it is no part of the dataset: move it elsewhere, as `sharder repair` does"
    assert told.endswith(f"split_data_00069.csv; {away}\n  and 10 more\n")


@pytest.mark.parametrize(
    ("old", "new", "message"),
    [
        (b'"seed": 0', b'"seed": 1', "found another one: it was edited, or damaged; restore it"),
        (b'"bytes": [\n', b'"bytes": [ \n', "found another one: it was edited, or damaged"),
        (b'"xxh3_128": "', b'"checksum": "', "expected a checksum in its second line, found none"),
        (b'"rejected": 1', b'"rejected": 2', "found 121 records, but 120 in shards and 2 rejected"),
        (b"reasons.csv", b"../asons.csv", "found rejected records outside of their directory"),
        (b'"delimiter": ","', b'"delimiter": ",,"', "--delimiter: expected one ASCII character"),
        (b"records", b"re\xffords", "expected a manifest, found"),
    ],
)
def test_an_edited_manifest_is_told(home: Path, old: bytes, new: bytes, message: str) -> None:
    path = home / "log_quest/manifest.json"
    data = path.read_bytes()
    assert old in data
    path.write_bytes(data.replace(old, new, 1))
    told = failure("verify", "log_quest", cwd=home)
    assert "log_quest/manifest.json: " in told
    assert message in told
    failure("info", "log_quest", cwd=home)


def test_a_missing_manifest_or_dataset_is_told(home: Path) -> None:
    (home / "log_quest/manifest.json").unlink()
    assert "expected a dataset with a manifest.json, found none" in failure(
        "verify", "log_quest", cwd=home
    )
    assert "found no such directory" in failure("verify", "log", cwd=home)
