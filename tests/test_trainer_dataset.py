"""A dataset is found to be whole before training begins."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest
from support import write_dataset, write_shards

from shared.errors import ContractError
from shared.layout import Side, shard_path
from shared.manifest_file import load_manifest
from trainer.shards.dataset import open_dataset

HEADER = ["n", "y"]
RECORDS = [[f"{i}.5", str(i % 2)] for i in range(25)]


@pytest.fixture
def dataset(tmp_path: Path) -> Path:
    return write_dataset(tmp_path / "log", HEADER, RECORDS, validate=RECORDS[:5], rows_per_shard=10)


def refuse(line: str) -> None:
    raise AssertionError(f"said {line!r}")


def test_shards_and_profile_come_from_the_manifest(dataset: Path) -> None:
    opened = open_dataset(dataset, say=refuse)
    manifest = load_manifest(dataset)

    assert manifest is not None
    assert opened.columns == manifest.columns
    assert [shard.records for shard in opened.shards[Side.TRAIN]] == [10, 10, 5]
    assert [shard.xxh3_128 for shard in opened.shards[Side.VALIDATE]] == [
        *manifest.sides[Side.VALIDATE].xxh3_128
    ]
    assert (opened.records, opened.count(Side.TRAIN)) == (30, 25)


def test_a_directory_without_a_manifest_is_profiled(dataset: Path) -> None:
    expected = open_dataset(dataset, say=refuse)
    (dataset / "manifest.json").unlink()
    said: list[str] = []
    opened = open_dataset(dataset, say=said.append)

    assert opened.columns == expected.columns
    assert [shard.records for shard in opened.shards[Side.TRAIN]] == [10, 10, 5]
    assert opened.count(Side.VALIDATE) == 5
    assert said == [
        f"{dataset}: has no manifest, so all shards are read first, for types and statistics"
    ]


def test_a_dataset_without_a_profile_is_profiled(tmp_path: Path, dataset: Path) -> None:
    bare = write_dataset(
        tmp_path / "bare", HEADER, RECORDS, validate=RECORDS[:5], rows_per_shard=10, profile=False
    )
    said: list[str] = []

    assert open_dataset(bare, say=said.append).columns == open_dataset(dataset).columns
    assert said == [f"{bare}: made with --no-profile, so all shards are read for it first"]


def test_a_dataset_needs_no_validation_side(tmp_path: Path) -> None:
    opened = open_dataset(write_dataset(tmp_path / "log", HEADER, RECORDS))

    assert opened.shards[Side.VALIDATE] == ()


def test_a_dataset_can_be_the_current_directory(
    dataset: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(dataset)

    assert open_dataset(".").count(Side.VALIDATE) == 5
    monkeypatch.chdir(dataset / "splited")
    assert open_dataset("..").count(Side.VALIDATE) == 5


def broken(dataset: Path) -> str:
    with pytest.raises(ContractError) as error:
        open_dataset(dataset, say=lambda _: None)
    return str(error.value)


def test_a_missing_shard_is_told(dataset: Path) -> None:
    shard_path(dataset, Side.TRAIN, 1).unlink()
    assert "expected split_data_00001.csv, found split_data_00002.csv" in broken(dataset)


def test_a_missing_last_shard_is_told(dataset: Path) -> None:
    shard_path(dataset, Side.TRAIN, 2).unlink()
    assert (
        "log/splited: expected 3 shards, as in the manifest, found 2; `sharder verify`"
        in broken(dataset)
    )


def test_a_missing_validation_side_is_told(dataset: Path) -> None:
    shutil.rmtree(dataset.with_name("log_validate"))
    assert "log_validate/splited: expected a directory of shards" in broken(dataset)


def test_a_truncated_shard_is_told(dataset: Path) -> None:
    path = shard_path(dataset, Side.VALIDATE, 0)
    path.write_bytes(path.read_bytes()[:-3])
    assert f"{path}: expected 34 bytes, as in the manifest, found 31" in broken(dataset)


def test_shards_of_another_header_are_told(tmp_path: Path) -> None:
    write_shards(tmp_path / "log", Side.TRAIN, HEADER, RECORDS)
    write_shards(tmp_path / "log", Side.VALIDATE, ["n", "z"], RECORDS)
    assert "split_data_00000.csv: expected the header n,y, found n,z" in broken(tmp_path / "log")


def test_a_name_that_stands_twice_is_told(tmp_path: Path) -> None:
    write_shards(tmp_path / "log", Side.TRAIN, ["n", "n"], RECORDS)
    assert "expected a header with each name once, found 'n', 'n'" in broken(tmp_path / "log")


def test_a_short_record_is_told(tmp_path: Path) -> None:
    write_shards(tmp_path / "log", Side.TRAIN, HEADER, [["1", "0"], ["2"]])
    assert "split_data_00000.csv: expected a CSV in UTF-8, found" in broken(tmp_path / "log")
