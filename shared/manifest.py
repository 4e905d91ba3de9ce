"""The manifest: what a dataset holds, written last, so that it proves the dataset whole."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Annotated, Literal

import msgspec

from shared.durable import publish
from shared.errors import ContractError
from shared.layout import MANIFEST_NAME, Side
from shared.schema import Column

FORMAT = 1

# A hundred million shards would be about this; anything above is not a manifest.
MAX_MANIFEST_BYTES = 4 << 30

Count = Annotated[int, msgspec.Meta(ge=0)]


class Source(msgspec.Struct, frozen=True, kw_only=True):
    """Where records came from.

    Attributes:
        path: of a file, its URL, or "stdin".
        bytes: its size, as it was packed.
        compression: what it was packed in, such as gzip.
        encoding: what it was written in, as Python calls it; the shards are in UTF-8.
    """

    path: str
    bytes: Count
    compression: str | None = None
    encoding: str = "utf-8"


class Split(msgspec.Struct, frozen=True, kw_only=True):
    """The rule that puts a record on a side.

    Attributes:
        by: what is hashed: "record" is the number of the record in the source, from 0; "group" is
            the value of a column, so that all records that have the same are on the same side.
        column: name of that column.
        seed: of the hash.
        validate_fraction, test_fraction: share of the hash's range that goes to that side.
    """

    by: Literal["record", "group"] = "record"
    column: str | None = None
    seed: int
    validate_fraction: float
    test_fraction: float = 0.0


class Shards(msgspec.Struct, frozen=True, kw_only=True):
    """The shards of one side: item *i* of each list is shard *i*.

    Every shard has `rows_per_shard` records, but for the last one.

    Attributes:
        records: number of records on this side.
        bytes: size of each file.
        xxh3_128: checksum of each file, as `xxh128sum` prints it.
    """

    records: Count
    bytes: tuple[Count, ...]
    xxh3_128: tuple[str, ...]


class Manifest(msgspec.Struct, frozen=True, kw_only=True):
    """What a dataset holds. records = training + validation + rejected, always.

    Attributes:
        format: version of this file's form.
        name: of the dataset; that of its directory when it was made.
        sources: the files, in the order they were read.
        header: names of the columns.
        rows_per_shard: number of records in every shard but the last of a side.
        split: the rule that put the records on their sides.
        records: number of records found in the sources, blank lines not counted.
        rejected: number of records kept in `rejected/` instead of a shard.
        sides: the shards of each side.
        columns: the profile of each column, or None with `--no-profile`.
    """

    format: int = FORMAT
    name: str
    sources: tuple[Source, ...]
    header: tuple[str, ...]
    rows_per_shard: Annotated[int, msgspec.Meta(ge=1)]
    split: Split
    records: Count
    rejected: Count
    sides: dict[Side, Shards]
    columns: tuple[Column, ...] | None

    def shard_records(self, side: Side, number: int) -> int:
        """Return how many records shard `number` of a side holds."""
        left = self.sides[side].records - number * self.rows_per_shard
        return min(left, self.rows_per_shard)


def spell_path(path: str | Path) -> str:
    """Return a path as text; bytes of it that are no UTF-8 become backslash escapes."""
    return os.fsencode(path).decode("utf-8", "backslashreplace")


def save_manifest(manifest: Manifest, dataset: Path) -> None:
    """Write the manifest of a dataset, whole or not at all."""
    text = msgspec.json.format(msgspec.json.encode(manifest), indent=1)
    temporary = dataset / f".{MANIFEST_NAME}.tmp"
    temporary.write_bytes(text + b"\n")
    publish(temporary, dataset / MANIFEST_NAME)


def load_manifest(dataset: Path) -> Manifest | None:
    """Read the manifest of a dataset; None if the directory has none.

    Raises:
        ContractError: it cannot be read, is not of this form, or does not agree with itself.
    """
    path = dataset / MANIFEST_NAME
    again = "restore it from a copy, or run the same `sharder split` command with --overwrite"
    try:
        if path.stat().st_size > MAX_MANIFEST_BYTES:
            raise ContractError(path, expected="a manifest", found="more than 4 GiB", hint=again)
        manifest = msgspec.json.decode(path.read_bytes(), type=Manifest)
    except FileNotFoundError:
        return None
    except OSError as error:
        raise ContractError(path, found=error.strerror or str(error)) from None
    except (msgspec.DecodeError, RecursionError, UnicodeDecodeError) as error:
        raise ContractError(path, expected="a manifest", found=str(error), hint=again) from None
    if fault := _fault(manifest):
        raise ContractError(path, found=fault, hint=again)
    return manifest


def _fault(manifest: Manifest) -> str:
    """Return what does not agree within a manifest, or an empty text."""
    if manifest.format != FORMAT:
        return f"format {manifest.format}, where this version reads format {FORMAT}"
    if len(set(manifest.header)) != len(manifest.header) or not manifest.header:
        return "a header without names, or with one twice"
    if manifest.columns is not None and [c.name for c in manifest.columns] != list(manifest.header):
        return "a profile of other columns than the header's"
    if Side.TRAIN not in manifest.sides:
        return "no training side"
    for side, shards in manifest.sides.items():
        count = -(-shards.records // manifest.rows_per_shard)
        if not count == len(shards.bytes) == len(shards.xxh3_128):
            return (
                f"{shards.records} {side} records, which make {count} shards, not the number listed"
            )
    kept = sum(shards.records for shards in manifest.sides.values())
    if kept + manifest.rejected != manifest.records:
        return f"{manifest.records} records, but {kept} in shards and {manifest.rejected} rejected"
    return ""
