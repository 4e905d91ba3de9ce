"""The manifest: what a dataset holds, as plain data. `shared.manifest_file` writes and reads it."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Annotated, Literal

import msgspec

from shared.dialect import PLAIN, Dialect, check_dialect
from shared.errors import ConfigError
from shared.layout import Side, state_name
from shared.schema import Column, Count

FORMAT = 1

# Of a side. A shard takes some 55 bytes of the manifest.
MAX_SHARDS = 2_500_000


class Source(msgspec.Struct, frozen=True, kw_only=True):
    """Where records came from.

    Attributes:
        path: of a file, its URL, or "stdin".
        bytes: its size, as it was packed.
        compression: what it was packed in, such as gzip.
        encoding: what it was written in, as Python calls it; the shards are in UTF-8.
        dialect: of its records; the shards are plain CSV.
        has_header: whether it began with the names of the columns.
        ends: checksum of its first and its last 64 KiB; None of a stream.
    """

    path: str
    bytes: Count
    compression: str | None = None
    encoding: str = "utf-8"
    dialect: Dialect = PLAIN
    has_header: bool = True
    ends: str | None = None


class Drop(msgspec.Struct, frozen=True, kw_only=True):
    """What came into a dataset at once.

    Attributes:
        sources: the files, in the order they were read.
        records: number of records found in them, blank lines not counted.
        rejected: number of those that are in `rejected/` instead of a shard.
        dropped: number of those that cleaning has dropped.
    """

    sources: tuple[Source, ...]
    records: Count
    rejected: Count
    dropped: Count = 0


class Split(msgspec.Struct, frozen=True, kw_only=True):
    """The rule that puts a record on a side.

    Attributes:
        by: what is hashed: "record" is the number of the record in the source, from 0; "group" is
            the value of a column, so that all records that have the same are on the same side;
            "class" is the value of a column and the number of the record among those with the
            same, so that each side gets its share of them, exact to one record.
            "time" is no hash, but the value of a column: the last records are for validation.
        column: name of that column.
        seed: of the hash.
        validate_fraction, test_fraction: share of the records, or the hash's range, that goes to
            that side; 0 where times were given.
        validate_from, test_from: from which time on records are on that side.
        shuffle: whether the records of each side are in a random order, that of a hash of the
            seed and their numbers.
    """

    by: Literal["record", "group", "class", "time"] = "record"
    column: str | None = None
    seed: int
    validate_fraction: float
    test_fraction: float = 0.0
    validate_from: str | None = None
    test_from: str | None = None
    shuffle: bool = False


class Cleaning(msgspec.Struct, frozen=True, kw_only=True):
    """The function that the records went through, so that they are not as in the sources.

    Attributes:
        function: as `MODULE:FUNCTION`. It is told, and never run from here.
        xxh3_128: checksum of its module's file.
    """

    function: str
    xxh3_128: str


class Shards(msgspec.Struct, frozen=True, kw_only=True):
    """The shards of one side: item *i* of each list is shard *i*.

    Every shard has `rows_per_shard` records, but for the last one.

    Attributes:
        records: number of records on this side.
        bytes: size of each file.
        xxh3_128: checksum of each file, as `xxh128sum` prints it.
        classes: number of records of each class, if the split is by class.
        times: the first and the last time, if the split is by time.
        groups, shared_groups: number of different groups, if the split is by group, and of those
            that are on another side, too. Past 4,096 the first is an estimate (`shared.sketch`),
            and the second is found among 4,096 groups of each side, taken at random.
    """

    records: Count
    bytes: tuple[Count, ...]
    xxh3_128: tuple[str, ...]
    classes: dict[str, Count] | None = None
    times: tuple[str, str] | None = None
    groups: Count | None = None
    shared_groups: Count | None = None


class File(msgspec.Struct, frozen=True, kw_only=True):
    """A file as it was written: its size, and its checksum as `xxh128sum` prints it."""

    bytes: Count
    xxh3_128: str


class Manifest(msgspec.Struct, frozen=True, kw_only=True):
    """What a dataset holds. records = training + validation + rejected + dropped, always.

    The file has a checksum of itself besides, so that one that was edited is told.

    Attributes:
        format: version of this file's form.
        name: of the dataset; that of its directory when it was made.
        drops: what came into it, in order.
        header: names of the columns.
        rows_per_shard: number of records in every shard but the last of a side.
        split: the rule that put the records on their sides.
        cleaning: what the records went through, if they did; `header` is of what came out.
        rejected_files: the files there, by their names.
        sides: the shards of each side.
        columns: the profile of each column, or None with `--no-profile`.
    """

    format: int = FORMAT
    name: str
    drops: tuple[Drop, ...]
    header: tuple[str, ...]
    rows_per_shard: Annotated[int, msgspec.Meta(ge=1)]
    split: Split
    cleaning: Cleaning | None = None
    rejected_files: dict[str, File] = {}
    sides: dict[Side, Shards]
    columns: tuple[Column, ...] | None

    @property
    def state_name(self) -> str:
        """Name of the file that another drop goes on from."""
        return state_name(len(self.drops))

    @property
    def sources(self) -> tuple[Source, ...]:
        """The files of all drops, in the order they were read."""
        return tuple(source for drop in self.drops for source in drop.sources)

    @property
    def records(self) -> int:
        """Number of records found in the sources."""
        return sum(drop.records for drop in self.drops)

    @property
    def rejected(self) -> int:
        """Number of records kept in `rejected/` instead of a shard."""
        return sum(drop.rejected for drop in self.drops)

    @property
    def dropped(self) -> int:
        """Number of records that cleaning has dropped."""
        return sum(drop.dropped for drop in self.drops)

    def shard_records(self, side: Side, number: int) -> int:
        """Return how many records shard `number` of a side holds."""
        left = self.sides[side].records - number * self.rows_per_shard
        return min(left, self.rows_per_shard)

    def fault(self) -> str:
        """Return what does not agree within it, or an empty text."""
        if self.format != FORMAT:
            return f"format {self.format}, where this version reads format {FORMAT}"
        if len(set(self.header)) != len(self.header) or not self.header:
            return "a header without names, or with one twice"
        if self.columns is not None and [c.name for c in self.columns] != list(self.header):
            return "a profile of other columns than the header's"
        if Side.TRAIN not in self.sides:
            return "no training side"
        if any(Path(name).name != name or name in ("", "..") for name in self.rejected_files):
            return "rejected records outside of their directory"
        for side, shards in self.sides.items():
            count = -(-shards.records // self.rows_per_shard)
            if not count == len(shards.bytes) == len(shards.xxh3_128):
                told = f"{shards.records} {side} records"
                return f"{told}, which make {count} shards, not the number listed"
            # A field and a line end each. Who believes in more would make room for them.
            if 2 * shards.records > sum(shards.bytes) + count:
                return f"{shards.records} {side} records in {sum(shards.bytes)} bytes"
        kept = sum(shards.records for shards in self.sides.values())
        if kept + self.rejected + self.dropped != self.records:
            dropped = f", {self.dropped} dropped" if self.dropped else ""
            return (
                f"{self.records} records, but {kept} in shards and {self.rejected} rejected"
                + dropped
            )
        for source in (source for drop in self.drops for source in drop.sources):
            try:
                check_dialect(source.dialect)
            except ConfigError as error:
                return f"of source {source.path!r}, {error}"
        for column in self.columns or ():
            if fault := column.fault(kept):
                return f"of column {column.name!r}, {fault}"
        return ""


def spell_path(path: str | Path) -> str:
    """Return a path as text; bytes of it that are no UTF-8 become backslash escapes."""
    return os.fsencode(path).decode("utf-8", "backslashreplace")
