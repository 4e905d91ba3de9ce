"""The names on disk: where a dataset keeps its shards.

    data/
    ├── log_quest/                    the dataset, as `sharder` prints it and `trainer` takes it
    │   ├── manifest.json
    │   ├── state_1.msgpack
    │   ├── rejected/
    │   └── splited/split_data_00000.csv, split_data_00001.csv, …
    └── log_quest_validate/
        └── splited/split_data_00000.csv, …

Shard *i* of a side is file *i*: no list of files is needed to find it.
"""

from __future__ import annotations

import os
import re
from enum import StrEnum
from pathlib import Path

from shared.errors import ContractError
from shared.place import AnyPlace

MANIFEST_NAME = "manifest.json"
# The manifest that is about to take the other's place: of a dataset that is just being appended to.
NEXT_MANIFEST_NAME = f".{MANIFEST_NAME}.next"
REJECTED_NAME = "rejected"
SPLITED_NAME = "splited"

_STATE_NAME = re.compile(r"state_\d+\.msgpack")
_SHARD_NAME = re.compile(r"split_data_(\d{5,})\.csv")


class Side(StrEnum):
    """The use that a record is kept for."""

    TRAIN = "train"
    VALIDATE = "validate"
    TEST = "test"

    @property
    def suffix(self) -> str:
        """What the side adds to the dataset's name."""
        return "" if self is Side.TRAIN else f"_{self.value}"


def state_name(drops: int) -> str:
    """Return the name of the file that another drop goes on from, behind so many of them."""
    return f"state_{drops}.msgpack"


def is_part(name: str) -> bool:
    """Tell whether a name is one of those that a dataset's directory may have in it."""
    names = (MANIFEST_NAME, NEXT_MANIFEST_NAME, REJECTED_NAME, SPLITED_NAME)
    return name in names or _STATE_NAME.fullmatch(name) is not None


def shard_name(number: int) -> str:
    """Return the file name of a shard, such as `split_data_00017.csv`."""
    return f"split_data_{number:05d}.csv"


def shard_number(name: str) -> int | None:
    """Return the number in a shard's file name, or None if this is no shard's name."""
    match = _SHARD_NAME.fullmatch(name)
    # Only the spelling that `shard_name` gives: 000017 would be a second name for 17.
    return int(match[1]) if match and shard_name(int(match[1])) == name else None


def side_root(dataset: AnyPlace, side: Side) -> AnyPlace:
    """Return the directory of one side of a dataset; they lie beside each other."""
    # "." and ".." have no name that a suffix could be added to.
    if isinstance(dataset, Path) and dataset.name in ("", ".."):
        dataset = dataset.resolve()
    return dataset.parent / (dataset.name + side.suffix)


def shard_dir(dataset: AnyPlace, side: Side) -> AnyPlace:
    """Return the directory that holds the shards of one side."""
    return side_root(dataset, side) / SPLITED_NAME


def shard_path(dataset: AnyPlace, side: Side, number: int) -> AnyPlace:
    """Return the path of one shard."""
    return shard_dir(dataset, side) / shard_name(number)


def list_shards(dataset: Path, side: Side) -> list[Path]:
    """Return the shards of one side, in the order of their numbers.

    By number, not by name: past 99,999 the name grows a sixth digit.

    Args:
        dataset: dataset directory, as `sharder` prints it.
        side: training or validation.

    Raises:
        ContractError: no directory, no shard, or a gap in their numbers.
    """
    directory = shard_dir(dataset, side)
    if not directory.is_dir():
        raise ContractError(
            directory,
            expected="a directory of shards",
            found="no such directory",
            hint="give the directory that `sharder split` printed",
        )
    try:
        with os.scandir(directory) as entries:
            numbers = sorted(n for entry in entries if (n := shard_number(entry.name)) is not None)
    except OSError as error:
        raise ContractError(directory, expected="to read it", found=str(error.strerror)) from None
    if not numbers:
        raise ContractError(
            directory,
            expected=shard_name(0),
            found="no shard",
            hint="run `sharder split` on the source again",
        )
    for expected, number in enumerate(numbers):
        if number != expected:
            raise ContractError(
                directory,
                expected=shard_name(expected),
                found=shard_name(number),
                hint="a shard is missing: run the same `sharder split` command again",
            )
    return [directory / shard_name(number) for number in numbers]
