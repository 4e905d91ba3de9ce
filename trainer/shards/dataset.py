"""A dataset as the trainer takes it: shards that are found whole, and a profile of its columns."""

from __future__ import annotations

import os
import re
import sys
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import pyarrow as pa
import xxhash

from shared.block_profile import profile_block
from shared.errors import ContractError, dataset_in_store
from shared.layout import Side, list_shards, shard_dir
from shared.manifest import Manifest
from shared.manifest_file import load_manifest
from shared.printable import printable
from shared.profile import Profile
from shared.schema import Column
from shared.values import read_text
from trainer.features.read import read_header
from trainer.shards.shard import Shard, load_shard

_URL = re.compile(r"([A-Za-z][A-Za-z0-9+.-]*):/+(.+?)/*$")
_VERIFY = "`sharder verify` tells what is wrong; `sharder split` makes the dataset again"


@dataclass(frozen=True, kw_only=True)
class Dataset:
    """A dataset on disk.

    Attributes:
        path: its directory.
        columns: profile of each column, over the records of all sides.
        shards: of each side, in the order of their numbers; none where there is no such side.
    """

    path: Path
    columns: tuple[Column, ...]
    shards: dict[Side, tuple[Shard, ...]]

    @property
    def records(self) -> int:
        """Number of records that the profile is of: those of all sides."""
        return sum(self.count(side) for side in self.shards)

    @property
    def checksum(self) -> str:
        """XXH3-128 of the checksums of all shards; a copy of the dataset has the same one."""
        digest = xxhash.xxh3_128()
        for side in Side:
            for shard in self.shards[side]:
                digest.update(f"{side} {shard.records} {shard.xxh3_128}\n".encode())
        return digest.hexdigest()

    def count(self, side: Side) -> int:
        """Return the number of records of one side."""
        return sum(shard.records for shard in self.shards[side])


def say_on_stderr(line: str) -> None:
    """Print a line of prose where it does not mix with data."""
    sys.stderr.write(f"{printable(line)}\n")


def open_dataset(
    path: str | os.PathLike[str], *, say: Callable[[str], None] = say_on_stderr
) -> Dataset:
    """Open a dataset, and check that its shards are there, in the sizes that the manifest gives.

    Where there is no profile, it is derived from the shards: a pass over all of them.

    Args:
        path: directory of the dataset, as `sharder` prints it, or one of the same layout that
            another tool or a person made.
        say: takes a line on what takes long.

    Raises:
        ConfigError: the dataset is in a store.
        ContractError: shards are missing, or are not those of the manifest.
    """
    _refuse_store(path)
    path = Path(path)
    manifest = load_manifest(path)
    if manifest is None:
        return _open_bare(path, say)
    shards = {side: _manifest_shards(path, manifest, side) for side in Side}
    if not shards[Side.TRAIN]:
        raise ContractError(path, expected="training records", found="none", hint=_VERIFY)
    columns = manifest.columns
    if columns is None:
        say(f"{path}: made with --no-profile, so all shards are read for it first")
        columns = _profile(shards, manifest.header)[0]
    return Dataset(path=path, columns=columns, shards=shards)


def _refuse_store(dataset: str | os.PathLike[str]) -> None:
    """Refuse a dataset in an object store, and say how to fetch it.

    Raises:
        ConfigError: it is a URL, with two slashes or with the one that a `Path` leaves of them.
    """
    match = _URL.match(os.fspath(dataset))
    if match is None or Path(dataset).exists():
        return
    scheme, place = match.groups()
    parent, _, name = place.rpartition("/")
    fetch = {"s3": "aws s3 sync", "gs": "gcloud storage rsync --recursive"}.get(scheme, "copy")
    fetch += f" {scheme}://{parent} data"
    hint = f"fetch it with all its sides: `{fetch}`, and give data/{name}"
    raise dataset_in_store(f"{scheme}://{place}", hint)


def _manifest_shards(path: Path, manifest: Manifest, side: Side) -> tuple[Shard, ...]:
    listed = manifest.sides.get(side)
    if listed is None or not listed.records:
        return ()
    # There may be more, and more in the last one, while `sharder split --append` adds a drop.
    files = list_shards(path, side)[: len(listed.bytes)]
    if len(files) < len(listed.bytes):
        raise ContractError(
            shard_dir(path, side),
            expected=f"{len(listed.bytes):,} shards, as in the manifest",
            found=f"{len(files):,}",
            hint=_VERIFY,
        )
    shards = []
    for number, (file, size, checksum) in enumerate(
        zip(files, listed.bytes, listed.xxh3_128, strict=True)
    ):
        records = manifest.shard_records(side, number)
        may_grow = records < manifest.rows_per_shard
        found = file.stat().st_size
        if found < size or (found > size and not may_grow):
            raise ContractError(
                file,
                expected=f"{size:,} bytes, as in the manifest",
                found=f"{found:,}",
                hint=_VERIFY,
            )
        shards.append(Shard(str(file), records, size, checksum, may_grow))
    return tuple(shards)


def _open_bare(path: Path, say: Callable[[str], None]) -> Dataset:
    """Open a directory of shards without a manifest: count and profile its records."""
    shards = {
        side: _bare_shards(path, side)
        if side is Side.TRAIN or shard_dir(path, side).is_dir()
        else ()
        for side in Side
    }
    say(f"{path}: has no manifest, so all shards are read first, for types and statistics")
    header = read_header(Path(shards[Side.TRAIN][0].path))
    if len(set(header)) < len(header):
        raise ContractError(
            shards[Side.TRAIN][0].path,
            expected="a header with each name once",
            found=", ".join(map(repr, header)),
        )
    columns, counted = _profile(shards, header)
    return Dataset(path=path, columns=columns, shards=counted)


def _bare_shards(path: Path, side: Side) -> tuple[Shard, ...]:
    return tuple(Shard(str(file), 0) for file in list_shards(path, side))


def _profile(
    shards: dict[Side, tuple[Shard, ...]], header: tuple[str, ...]
) -> tuple[tuple[Column, ...], dict[Side, tuple[Shard, ...]]]:
    """Return the profile of all shards, and the shards with their number of records."""
    profile = Profile.begin(header)
    counted = {}
    for side, of_side in shards.items():
        with_counts = []
        for shard in of_side:
            file = Path(shard.path)
            if (found := read_header(file)) != header:
                raise ContractError(
                    file, expected=f"the header {','.join(header)}", found=",".join(found)
                )
            try:
                data = load_shard(shard)
                data.decode()
                columns = read_text(data, header, skip_header=True)
            except (pa.ArrowInvalid, UnicodeDecodeError, MemoryError) as error:
                fault = str(error) or "more than there is memory for"
                raise ContractError(file, expected="a CSV in UTF-8", found=fault) from None
            except OSError as error:
                raise ContractError(file, found=error.strerror or str(error)) from None
            profile.add(profile_block(header, columns))
            # Without a manifest, a shard is to stay what it was when it was profiled.
            checksum = shard.xxh3_128 or xxhash.xxh3_128_hexdigest(data)
            with_counts.append(Shard(shard.path, len(columns[0]), shard.bytes, checksum))
        counted[side] = tuple(with_counts)
    return profile.columns(), counted
