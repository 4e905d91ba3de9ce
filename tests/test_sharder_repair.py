"""`sharder repair` writes anew what is damaged or missing, and nothing else."""

from __future__ import annotations

import gzip
import os
import shutil
from pathlib import Path
from random import Random

import pytest
from splitting import failure, sharder, tree, write


def write_log(home: Path, *, delimiter: str = ",", header: str = "id,player,text\n") -> bytes:
    """Write a source of 180 KB or more, so that its middle is in neither of its ends."""
    random = Random(0)
    lines = []
    for number in range(6000):
        fields = [
            str(number),
            f"p{random.randrange(90)}",
            random.choice(['"a\nb"', "魔法使い" * 3]),
        ]
        lines.append(delimiter.join(fields))
        if number % 500 == 0:
            lines.append(f"bad {number}")
    text = header + "\n".join(lines) + "\n"
    path = write(home, text.encode("cp932" if delimiter == ";" else "utf-8"))
    return path.read_bytes()


def damage(dataset: Path) -> None:
    """Damage three shards of four and more, one side, and the rejected records; add a file."""
    shards = dataset / "splited"
    for number in range(0, 9, 3):
        path = shards / f"split_data_{number:05d}.csv"
        os.utime(path.with_name(f"split_data_{number + 2:05d}.csv"), (1, 1))
        path.unlink()
        path.with_name(f"split_data_{number + 1:05d}.csv").write_text("nonsense")
    shutil.rmtree(dataset.with_name("log_quest_validate"))
    shutil.rmtree(dataset / "rejected")
    write(shards, "my notes", "notes.txt")


@pytest.mark.parametrize("order", [[], ["--shuffle"]])
def test_what_is_damaged_is_written_anew_and_good_shards_are_untouched(
    tmp_path: Path, order: list[str]
) -> None:
    write_log(tmp_path)
    sharder("split", "drop.csv", "--out", "data", "--rows-per-shard", 400, *order, cwd=tmp_path)
    before = tree(tmp_path / "data")
    damage(tmp_path / "data/log_quest")
    # What a killed repair has left.
    debris = tmp_path / "data/.log_quest.partial/.repair/log_quest/splited/split_data_00000.csv"
    debris.parent.mkdir(parents=True)
    debris.write_text("half")
    done = sharder("repair", "data/log_quest", cwd=tmp_path)
    notes = "log_quest/splited/notes.txt"
    assert done.stdout == (
        "data/log_quest: 10 files written anew, "
        f"data/{notes} moved to data/log_quest.extra/{notes}; now all is as it was\n"
    )
    after = tree(tmp_path / "data")
    assert after.pop(f"log_quest.extra/{notes}") == b"my notes"
    assert after == before
    shards = tmp_path / "data/log_quest/splited"
    assert [(shards / f"split_data_{n:05d}.csv").stat().st_mtime for n in (2, 5, 8)] == [1, 1, 1]
    sharder("verify", "data/log_quest", cwd=tmp_path)
    assert "nothing to repair" in sharder("repair", "data/log_quest", cwd=tmp_path).stdout


def test_a_packed_source_of_another_dialect_is_read_again_where_it_is_now(tmp_path: Path) -> None:
    source = gzip.compress(write_log(tmp_path, delimiter=";", header=""))
    write(tmp_path, source, "drop.gz")
    options = ("--delimiter", ";", "--encoding", "cp932", "--no-header", "--columns", "a,b,c")
    sharder(
        *("split", "drop.gz", "--out", "data", *options, "--group-by", "b", "--test-fraction", 0.2),
        *("--rows-per-shard", 400),
        cwd=tmp_path,
    )
    before = tree(tmp_path / "data")
    damage(tmp_path / "data/log_quest")
    (tmp_path / "drop.gz").rename(tmp_path / "old.gz")
    told = failure("repair", "data/log_quest", cwd=tmp_path)
    assert "drop.gz: expected a CSV file, found no such file; if it is elsewhere now, say" in told
    told = failure("repair", "data/log_quest", "old.gz", "old.gz", cwd=tmp_path)
    assert "data/log_quest: expected its 1 sources: drop.gz, found 2; name each" in told
    sharder("repair", "../data/log_quest", "../old.gz", cwd=tmp_path / "data")
    shutil.rmtree(tmp_path / "data/log_quest.extra")
    assert tree(tmp_path / "data") == before


def test_a_stream_is_refused_until_its_file_is_named(tmp_path: Path) -> None:
    source = write_log(tmp_path)
    sharder("split", "-", "--out", "data", "--rows-per-shard", 400, cwd=tmp_path, stdin=source)
    before = tree(tmp_path / "data")
    (tmp_path / "data/log_quest/splited/split_data_00002.csv").unlink()
    told = failure("repair", "data/log_quest", cwd=tmp_path)
    assert "stdin: expected a source that can be read again, found a stream; if you have" in told
    sharder("repair", "data/log_quest", "drop.csv", cwd=tmp_path)
    assert tree(tmp_path / "data") == before


def test_a_stream_is_one_however_short_it_is(tmp_path: Path) -> None:
    sharder("split", "-", "--out", "data", cwd=tmp_path, stdin=b"n\n" + b"1\n" * 50)
    (tmp_path / "data/log_quest/splited/split_data_00000.csv").unlink()
    told = failure("repair", "data/log_quest", cwd=tmp_path)
    assert "stdin: expected a source that can be read again, found a stream; if you have" in told


def test_a_source_that_has_changed_is_refused(tmp_path: Path) -> None:
    source = write_log(tmp_path)
    sharder("split", "drop.csv", "--out", "data", "--rows-per-shard", 400, cwd=tmp_path)
    before = tree(tmp_path / "data")
    shards = tmp_path / "data/log_quest/splited"
    for number in (0, 6):
        (shards / f"split_data_{number:05d}.csv").unlink()
    write(tmp_path, source + b"6000,p1,more\n")
    told = failure("repair", "data/log_quest", cwd=tmp_path)
    assert f"drop.csv: expected the {len(source):,} bytes that the dataset was made from" in told
    # Of the same size, with the same ends: record 2700, which is in the seventh shard.
    other = source.replace(b"\n2700,", b"\n0072,")
    assert other != source
    write(tmp_path, other)
    told = failure("repair", "data/log_quest", cwd=tmp_path)
    assert "split_data_00006.csv: expected the records that it had, found other ones" in told
    del before["log_quest/splited/split_data_00006.csv"]
    assert tree(tmp_path / "data") == before


def test_what_the_source_cannot_mend_is_refused(tmp_path: Path) -> None:
    write_log(tmp_path)
    sharder("split", "drop.csv", "--out", "data", cwd=tmp_path)
    path = tmp_path / "data/log_quest/manifest.json"
    path.write_bytes(path.read_bytes().replace(b'"seed": 0', b'"seed": 1'))
    assert "found another one: it was edited" in failure("repair", "data/log_quest", cwd=tmp_path)
    assert "found no such directory" in failure("repair", "data/log", cwd=tmp_path)
    assert [path.name for path in (tmp_path / "data").iterdir() if path.name[0] == "."] == []
