"""Sources, datasets and leftovers that somebody else made: they write nowhere else, and end."""

from __future__ import annotations

import json
import lzma
import os
import zlib
from collections.abc import Callable
from pathlib import Path

import pytest
from splitting import failure, sharder, tree, write

from sharder import split as splitting_module
from sharder.config import SplitConfig
from sharder.run import resume
from sharder.run.checkpoint import Checkpoint, save_checkpoint
from shared.errors import TargetError
from shared.profile import ColumnProfile, Profile
from shared.snapshot import unpack, unseal

PARTIAL = ".log_quest.partial"


def split(home: Path, **options: object) -> None:
    config = SplitConfig(sources=(home / "drop.csv",), out=home / "data", **options)  # type: ignore[arg-type]
    splitting_module.run(config)


@pytest.fixture
def home(tmp_path: Path) -> Path:
    """A directory with a source, and another one with what is precious."""
    write(tmp_path, "a,b\n" + "".join(f"{n},{n}\n" for n in range(4000)))
    (tmp_path / "precious" / "splited").mkdir(parents=True)
    for name in ("important.txt", "records.csv", "splited/split_data_00000.csv"):
        (tmp_path / "precious" / name).write_text("precious")
    (tmp_path / "data" / PARTIAL).mkdir(parents=True)
    return tmp_path


@pytest.mark.parametrize(
    ("link", "target"),
    [
        ("", "precious"),
        (".lock", "precious/important.txt"),
        (".checkpoint", "precious/important.txt"),
        (".checkpoint.tmp", "precious/important.txt"),
        (".receipt", "precious/important.txt"),
        (".retired", "precious"),
        ("log_quest", "precious"),
        ("log_quest/splited", "precious/splited"),
        ("log_quest_validate/splited", "precious/splited"),
        ("log_quest/rejected", "precious"),
        ("log_quest/rejected/records.csv", "precious/records.csv"),
        ("log_quest/.manifest.json.tmp", "precious/important.txt"),
    ],
)
def test_a_link_among_what_a_run_has_left_leads_nowhere(home: Path, link: str, target: str) -> None:
    place = home / "data" / PARTIAL / link
    if not link:
        place.rmdir()
    place.parent.mkdir(parents=True, exist_ok=True)
    place.symlink_to(home / target)
    before = tree(home / "precious")
    with pytest.raises(TargetError, match=r"a link to |Too many levels of symbolic links"):
        split(home)
    assert tree(home / "precious") == before
    assert place.is_symlink()
    place.unlink()
    split(home)
    assert tree(home / "precious") == before


def test_what_was_set_aside_goes_back_to_the_sides_of_the_dataset_only(home: Path) -> None:
    (home / "data/important.txt").write_text("precious")
    (home / "data" / PARTIAL / "log_quest").mkdir()
    (home / "data" / PARTIAL / ".retired").mkdir()
    (home / "data" / PARTIAL / ".retired/important.txt").write_text("another")
    with pytest.raises(TargetError, match="retired: expected to write here, found Directory not"):
        split(home)
    assert (home / "data/important.txt").read_text() == "precious"


SMALL = {"block_bytes": 100, "rows_per_shard": 100, "max_rejected": 1}


def interrupted(home: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Leave a run behind that has written a checkpoint; return its path."""

    def save(checkpoint: Checkpoint, profile: Profile | None, file: Path) -> None:
        save_checkpoint(checkpoint, profile, file)
        raise KeyboardInterrupt

    monkeypatch.setattr(resume, "save_checkpoint", save)
    with pytest.raises(KeyboardInterrupt):
        split(home, **SMALL)
    monkeypatch.undo()
    return home / "data" / PARTIAL / ".checkpoint"


def rewrite(path: Path, edit: Callable[[Checkpoint], None]) -> None:
    """Change a checkpoint, and give it the right checksum."""
    head, *columns = unseal(path.read_bytes())
    checkpoint = unpack(head, Checkpoint)
    edit(checkpoint)
    profile = Profile([unpack(column, ColumnProfile) for column in columns])
    save_checkpoint(checkpoint, profile, path)


def outside(checkpoint: Checkpoint) -> None:
    checkpoint.ledger.file_bytes["../../../../precious/important.txt"] = 0


def fewer_sides(checkpoint: Checkpoint) -> None:
    del checkpoint.shards.sizes[1:]


def more_shards(checkpoint: Checkpoint) -> None:
    checkpoint.shards.sizes[0].append(7)


def backwards(checkpoint: Checkpoint) -> None:
    checkpoint.blocks = -1


@pytest.mark.parametrize("edit", [outside, fewer_sides, more_shards, backwards])
def test_a_checkpoint_that_no_run_has_written_is_not_gone_on_with(
    home: Path,
    edit: Callable[[Checkpoint], None],
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    rewrite(interrupted(home, monkeypatch), edit)
    before = tree(home / "precious")
    split(home, **SMALL)
    assert "an unfinished run is not gone on with: it has no checkpoint" in capsys.readouterr().err
    assert tree(home / "precious") == before


def test_a_checkpoint_that_was_only_written_anew_is_gone_on_with(
    home: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    rewrite(interrupted(home, monkeypatch), lambda checkpoint: None)
    split(home, **SMALL)
    assert "going on at " in capsys.readouterr().err


def test_a_shard_that_is_a_link_is_no_shard(home: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    interrupted(home, monkeypatch)
    shard = home / "data" / PARTIAL / "log_quest/splited/split_data_00000.csv"
    size = shard.stat().st_size
    shard.unlink()
    (home / "precious/important.txt").write_bytes(b"x" * size)
    shard.symlink_to(home / "precious/important.txt")
    split(home, **SMALL)
    assert (home / "precious/important.txt").read_bytes() == b"x" * size
    assert not any(path.is_symlink() for path in (home / "data").rglob("*"))


def test_repair_touches_nothing_behind_a_link(home: Path) -> None:
    split(home)
    splited = home / "data/log_quest/splited"
    splited.rename(home / "elsewhere")
    splited.symlink_to(home / "precious/splited")
    before = tree(home / "precious")
    told = failure("repair", "data/log_quest", cwd=home)
    assert "splited: expected a file or directory of" in told
    splited.unlink()
    (home / "data" / PARTIAL).mkdir()
    (home / "data" / PARTIAL / ".repair").symlink_to(home / "precious")
    told = failure("repair", "data/log_quest", cwd=home)
    assert ".repair: expected a file or directory of" in told
    assert tree(home / "precious") == before


def make_pipe(file: Path) -> None:
    file.unlink()
    os.mkfifo(file)


def make_endless(file: Path) -> None:
    file.unlink()
    file.symlink_to("/dev/zero")


def make_hole(file: Path) -> None:
    os.truncate(file, 1 << 42)


@pytest.mark.parametrize("change", [make_pipe, make_endless, make_hole])
@pytest.mark.parametrize("name", ["manifest.json", "splited/split_data_00001.csv"])
def test_a_file_without_an_end_is_refused_at_once(
    home: Path, change: Callable[[Path], None], name: str
) -> None:
    split(home)
    change(home / "data/log_quest" / name)
    message = failure("verify", "data/log_quest", cwd=home)
    assert f"{name}: " in message
    assert "no plain file" in message or "more than " in message


@pytest.mark.parametrize(
    ("edit", "fault"),
    [
        (lambda text: '{"x": ' + "[" * 100_000, "maximum recursion depth exceeded"),
        (lambda text: text.replace('"records": ', '"records": -', 1), "`int` >= 0"),
        (lambda text: text.replace('"missing": 0', '"missing": 4000', 1), "different values in 0"),
        (lambda text: text.replace('"variance": ', '"variance": -', 1), "a variance of -"),
        (lambda text: text.replace('"rows_per_shard": 1000', '"rows_per_shard": 0'), ">= 1"),
    ],
)
def test_a_manifest_that_cannot_be_is_told(
    home: Path, edit: Callable[[str], str], fault: str
) -> None:
    split(home)
    manifest = home / "data/log_quest/manifest.json"
    manifest.write_text(edit(manifest.read_text()))
    assert fault in failure("info", "data/log_quest", cwd=home)


def test_a_manifest_cannot_claim_more_records_than_its_bytes_have(home: Path) -> None:
    split(home, rows_per_shard=10_000, validate_fraction=0)
    path = home / "data/log_quest/manifest.json"
    manifest = json.loads(path.read_text())
    manifest["records"] = manifest["sides"]["train"]["records"] = manifest["rows_per_shard"] = 2**60
    path.write_text(json.dumps(manifest))
    message = failure("info", "data/log_quest", cwd=home)
    assert f"{2**60} train records in 37784 bytes" in message


def test_a_header_of_too_many_columns_is_refused(tmp_path: Path) -> None:
    write(tmp_path, ",".join(f"c{n}" for n in range(70_000)) + "\n1\n")
    message = failure("split", "drop.csv", "--out", "data", cwd=tmp_path)
    assert "drop.csv: header: expected at most 65,536 columns, found 70,000; is it" in message


def test_xz_that_asks_for_gigabytes_is_refused(tmp_path: Path) -> None:
    packed = bytearray(lzma.compress(b"a,b\n" + b"1,2\n" * 1000))
    size = (packed[12] + 1) * 4  # of the block's header
    filters = packed.index(b"\x21\x01", 12)
    packed[filters + 2] = 37  # a dictionary of 1.5 GiB
    packed[12 + size - 4 : 12 + size] = zlib.crc32(packed[12 : 12 + size - 4]).to_bytes(4, "little")
    write(tmp_path, bytes(packed), "drop.csv.xz")
    message = failure("split", "drop.csv.xz", "--out", "data", cwd=tmp_path)
    assert "found Memory usage limit exceeded; unpack it on the way: xz -dc" in message


def test_a_terminal_shows_the_commands_of_a_source_and_does_not_obey(tmp_path: Path) -> None:
    write(tmp_path, "a\x1b]0;owned\x07,b\n" + "x\x1b[2J,\u202e1\n" * 2000)
    done = sharder("split", "drop.csv", "--out", "data", cwd=tmp_path)
    shown = sharder("info", "data/log_quest", cwd=tmp_path).stdout
    told = failure("split", "drop.csv", "--out", "x", "--group-by", "c", cwd=tmp_path)
    for text in (done.stderr, shown, told):
        assert not {"\x1b", "\x07", "\u202e"} & set(text)
    assert r"a\x1b]0;owned\x07" in shown
    assert r"x\x1b[2J 100.0%" in shown
    assert r"one of the columns a\x1b]0;owned\x07, b" in told


def test_rejected_records_that_do_not_agree_are_told(tmp_path: Path) -> None:
    write(tmp_path, "a,b\n" + "1,2\n" * 3000 + "1\n")
    sharder("split", "drop.csv", "--out", "data", cwd=tmp_path)
    reasons = tmp_path / "data/log_quest/rejected/reasons.csv"
    text = reasons.read_text()
    for bytes_ in ("-1", str(2**60), "9" * 5000, "x"):
        reasons.write_text(text.replace(',2,"1 fields', f',{bytes_},"1 fields'))
        message = failure("rejected", "data/log_quest", cwd=tmp_path)
        assert "rejected: expected the rejected records, found " in message
