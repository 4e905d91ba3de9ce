"""Prove a dataset's manifest from its files."""

from __future__ import annotations

import csv
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from functools import partial
from pathlib import Path

import xxhash

from sharder.align import align, begin
from sharder.assign import find_strays
from sharder.encoding import UTF8
from sharder.header import parse_header
from sharder.ledger import REASONS_NAME, RECORDS_NAME
from sharder.scan import scan
from shared.errors import ContractError
from shared.layout import REJECTED_NAME, Side, list_shards, shard_dir
from shared.manifest import Manifest, load_manifest
from shared.values import read_text

_AGAIN = "restore the file, or run the same `sharder split` command with --overwrite"


@dataclass(frozen=True)
class Verified:
    """How much was proved: number of shards, and their bytes."""

    manifest: Manifest
    shards: int
    bytes: int


def require_manifest(dataset: Path) -> Manifest:
    """Read the manifest of a dataset that must have one.

    Raises:
        ContractError: there is none, or it is not valid.
    """
    manifest = load_manifest(dataset)
    if manifest is None:
        raise ContractError(
            dataset,
            expected="a dataset with a manifest.json",
            found="none" if dataset.is_dir() else "no such directory",
            hint="give the directory that `sharder split` printed",
        )
    return manifest


def run(dataset: Path) -> Verified:
    """Check each file of a dataset against its manifest.

    Raises:
        ContractError: what is not as the manifest says, at the first file where it is not.
    """
    manifest = require_manifest(dataset)
    _check_rejected(dataset, manifest)
    shards = bytes_ = 0
    for side, entry in manifest.sides.items():
        paths = (
            list_shards(dataset, side) if entry.bytes or shard_dir(dataset, side).exists() else []
        )
        if len(paths) != len(entry.bytes):
            raise ContractError(
                shard_dir(dataset, side),
                expected=f"{len(entry.bytes):,} shards",
                found=f"{len(paths):,}",
                hint=_AGAIN
                if len(paths) < len(entry.bytes)
                else f"remove {paths[len(entry.bytes)].name} and those behind it",
            )
        with ThreadPoolExecutor() as pool:
            # In batches, so that a dataset of any size keeps only a few tasks waiting.
            for numbers in _batched(range(len(paths)), 1000):
                check = partial(_check_shard, manifest, side, paths)
                bytes_ += sum(pool.map(check, numbers))
        shards += len(paths)
    return Verified(manifest, shards, bytes_)


def _check_shard(manifest: Manifest, side: Side, paths: Sequence[Path], number: int) -> int:
    """Check one shard, and return its size in bytes."""
    path, entry = paths[number], manifest.sides[side]
    try:
        data = path.read_bytes()
    except OSError as error:
        raise ContractError(path, found=error.strerror or str(error), hint=_AGAIN) from None
    if len(data) != entry.bytes[number]:
        raise ContractError(
            path, expected=f"{entry.bytes[number]:,} bytes", found=f"{len(data):,}", hint=_AGAIN
        )
    checksum = xxhash.xxh3_128_hexdigest(data)
    if checksum != entry.xxh3_128[number]:
        raise ContractError(
            path,
            expected=f"checksum {entry.xxh3_128[number]}",
            found=f"{checksum}: the file was changed",
            hint=_AGAIN,
        )
    # The checksum proves the bytes; what follows proves that the manifest is true of them.
    aligned = align(
        scan(data, last=True),
        begin(),
        source=str(path),
        encoding=UTF8,
        max_record_bytes=len(data),
    )
    if aligned.records - 1 != manifest.shard_records(side, number):
        raise ContractError(
            path,
            expected=f"{manifest.shard_records(side, number):,} records",
            found=f"{aligned.records - 1:,}",
            hint=_AGAIN,
        )
    header = parse_header(data[: int(aligned.ends[0])])
    if header != manifest.header:
        raise ContractError(
            path,
            expected=f"the header {', '.join(manifest.header)}",
            found=", ".join(header),
            hint=_AGAIN,
        )
    if manifest.split.column is not None:
        _check_groups(path, data, manifest, side)
    return len(data)


def _check_groups(path: Path, data: bytes, manifest: Manifest, side: Side) -> None:
    """Prove that no group of a shard is of another side: the rule says it of each group alone."""
    column = str(manifest.split.column)
    (groups,) = read_text(data, manifest.header, columns=[column], skip_header=True)
    for stray in find_strays(manifest.split, side, groups)[:1].tolist():
        raise ContractError(
            f"{path}: record {stray + 1}",
            expected=f"a {column} of the {side} side",
            found=repr(groups[stray].as_py()),
            hint=f"the manifest has another rule than the run that wrote the shards: {_AGAIN}",
        )


def _check_rejected(dataset: Path, manifest: Manifest) -> None:
    directory = dataset / REJECTED_NAME
    if not manifest.rejected and not directory.exists():
        return
    found = bytes_ = 0
    try:
        with (directory / REASONS_NAME).open(newline="", encoding="utf-8") as file:
            for row in csv.DictReader(file):
                found, bytes_ = found + 1, bytes_ + int(row["bytes"])
        size = (directory / RECORDS_NAME).stat().st_size
    except (OSError, ValueError, KeyError, TypeError, csv.Error) as error:
        raise ContractError(
            directory, expected="the rejected records", found=str(error), hint=_AGAIN
        ) from None
    if (found, bytes_) != (manifest.rejected, size):
        raise ContractError(
            directory,
            expected=f"{manifest.rejected:,} rejected records",
            found=f"{found:,} of {bytes_:,} bytes in {REASONS_NAME}, {size:,} in {RECORDS_NAME}",
            hint=_AGAIN,
        )


def _batched(items: range, size: int) -> Iterator[range]:
    """Yield a range in pieces; `itertools.batched` came with Python 3.12."""
    for start in range(0, len(items), size):
        yield items[start : start + size]
