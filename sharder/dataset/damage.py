"""What of a dataset's files is not as its manifest says: all of it, each with what to do."""

from __future__ import annotations

import csv
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cached_property

import xxhash

from sharder.dataset.kept import load_kept
from sharder.dataset.proof import UNTRUE, check_census, check_keys
from sharder.dataset.rejected import read_rejected
from sharder.graph.pool import map_numbers
from sharder.records.align import align, begin
from sharder.records.encoding import UTF8
from sharder.records.header import parse_header
from sharder.records.scan import scan
from sharder.sides.census import Census
from shared.errors import ContractError, SourceError
from shared.layout import REJECTED_NAME, Side, shard_dir, shard_number, shard_path
from shared.manifest import File, Manifest
from shared.manifest_file import load_next_manifest, measure
from shared.place import Place
from shared.reading import list_names, open_plain, read_plain

# What is raised where the bytes of a shard are no CSV in UTF-8 with a header.
_NO_CSV = (SourceError, UnicodeDecodeError, csv.Error, IndexError)


@dataclass(frozen=True)
class Damage:
    """Something that is not as the manifest says.

    Attributes:
        error: says where, what was expected, what was found, and what to do.
        shard: side and number of the shard that it is, if it can be written anew.
        rejected: name of the file of rejected records that it is, which can be written anew, too.
        extra: the file that is no part of the dataset, if it is one.
    """

    error: ContractError
    shard: tuple[Side, int] | None = None
    rejected: str | None = None
    extra: Place | None = None


def find_damage(dataset: Place, manifest: Manifest) -> Iterator[Damage]:
    """Yield all that is not as the manifest says, in the order of the files.

    What an append that was cut off has put behind the end of what the manifest tells of is none.
    """
    grown = manifest
    try:
        grown = load_next_manifest(dataset, manifest) or manifest
    except ContractError as error:
        yield Damage(error)
    yield from _check_state(dataset, manifest)
    yield from _check_rejected(dataset, manifest, grown)
    census, is_whole = Census(), True
    for side in Side:
        yield from _check_names(dataset, grown, side)
        if side in manifest.sides:
            check = _ShardCheck(dataset, manifest, side, has_grown=grown is not manifest)
            for damage, part in _check_shards(check):
                census.add(part)
                if damage is not None:
                    is_whole = False
                    yield damage
    if is_whole:
        yield from map(Damage, check_census(dataset, manifest, census))


def _repair(dataset: Place) -> str:
    return f"`sharder repair {dataset}` writes it anew from its source"


def _check_names(dataset: Place, manifest: Manifest, side: Side) -> Iterator[Damage]:
    """Find what else there is in a directory of shards: who reads all files there would take it."""
    directory = shard_dir(dataset, side)
    count = len(manifest.sides[side].bytes) if side in manifest.sides else 0
    for name in _names(directory):
        number = shard_number(name)
        if number is None or number >= count:
            yield _extra(directory / name, f"{count:,} {side} shards and nothing else")


def _names(directory: Place) -> list[str]:
    """Return what is in a directory, if it is one; hidden files are nobody's data."""
    return [name for name in list_names(directory) if not name.startswith(".")]


def _extra(path: Place, expected: str) -> Damage:
    error = ContractError(
        path.parent,
        expected=expected,
        found=path.name,
        hint="it is no part of the dataset: move it elsewhere, as `sharder repair` does",
    )
    return Damage(error, extra=path)


def _check_shards(check: _ShardCheck) -> Iterator[tuple[Damage | None, Census]]:
    yield from map_numbers(check, len(check.manifest.sides[check.side].bytes))


@dataclass(frozen=True)
class _ShardCheck:
    """The check of each shard of one side; says what is wrong with it, and the census of it."""

    dataset: Place
    manifest: Manifest
    side: Side
    has_grown: bool

    def __call__(self, number: int) -> tuple[Damage | None, Census]:
        path, entry = shard_path(self.dataset, self.side, number), self.manifest.sides[self.side]
        wanted = File(bytes=entry.bytes[number], xxh3_128=entry.xxh3_128[number])
        found = expected = ""
        try:
            if self.has_grown and number == len(entry.bytes) - 1:
                with open_plain(path) as file:
                    data = file.read(wanted.bytes)
            else:
                data = read_plain(path, at_most=self._most_bytes)
        except OSError as failure:
            found = failure.strerror or str(failure)
        else:
            own = File(bytes=len(data), xxh3_128=xxhash.xxh3_128_hexdigest(data))
            if own == wanted:
                # The checksum proves the bytes; what follows, that the manifest is true of them.
                problem, census = self._check_content(path, data, number)
                return Damage(problem) if problem else None, census
            expected, found = self._describe_change(data, own, wanted)
        error = ContractError(path, expected=expected, found=found, hint=_repair(self.dataset))
        return Damage(error, shard=(self.side, number)), Census()

    def _describe_change(self, data: bytes, own: File, wanted: File) -> tuple[str, str]:
        """Return what was expected of a shard and what was found, as plainly as it can be told."""
        if other := self._paths.get(own.xxh3_128):
            return "its own records", f"those of {other}"
        try:
            _, header = _read_structure(data)
        except _NO_CSV:
            header = self.manifest.header
        if header != self.manifest.header:
            return f"the header {', '.join(self.manifest.header)}", ", ".join(header)
        if own.bytes != wanted.bytes:
            return f"{wanted.bytes:,} bytes", f"{own.bytes:,}"
        return f"checksum {wanted.xxh3_128}", f"{own.xxh3_128}: the file was changed"

    @cached_property
    def _most_bytes(self) -> int:
        """The size of the largest shard: what is larger is none of them."""
        return max(max(side.bytes, default=0) for side in self.manifest.sides.values())

    @cached_property
    def _paths(self) -> dict[str, Place]:
        """The shard that each checksum is of, of all sides."""
        return {
            checksum: shard_path(self.dataset, side, number)
            for side, shards in self.manifest.sides.items()
            for number, checksum in enumerate(shards.xxh3_128)
        }

    def _check_content(
        self, path: Place, data: bytes, number: int
    ) -> tuple[ContractError | None, Census]:
        manifest, problem = self.manifest, None
        wanted = manifest.shard_records(self.side, number)
        try:
            records, header = _read_structure(data)
        except _NO_CSV as error:
            problem = ContractError(path, expected="a CSV", found=str(error), hint=UNTRUE)
            return problem, Census()
        if records != wanted:
            problem = ContractError(
                path, expected=f"{wanted:,} records", found=f"{records:,}", hint=UNTRUE
            )
        elif header != manifest.header:
            expected = f"the header {', '.join(manifest.header)}"
            problem = ContractError(path, expected=expected, found=", ".join(header), hint=UNTRUE)
        return (problem, Census()) if problem else check_keys(path, data, manifest, self.side)


def _read_structure(data: bytes) -> tuple[int, tuple[str, ...]]:
    """Return the number of records of a shard, and its header.

    Raises:
        SourceError, UnicodeDecodeError, csv.Error, IndexError: it is no CSV.
    """
    aligned = align(
        scan(data, last=True), begin(), source="", encoding=UTF8, max_record_bytes=len(data)
    )
    return aligned.records - 1, parse_header(data[: int(aligned.ends[0])])


def _check_state(dataset: Place, manifest: Manifest) -> Iterator[Damage]:
    try:
        load_kept(dataset, manifest)
    except ContractError as error:
        yield Damage(error)


def _check_rejected(dataset: Place, manifest: Manifest, grown: Manifest) -> Iterator[Damage]:
    directory = dataset / REJECTED_NAME
    again = _repair(dataset)
    for name in _names(directory):
        if name not in grown.rejected_files:
            yield _extra(directory / name, "the rejected records and nothing else")
    is_whole = True
    for name, wanted in manifest.rejected_files.items():
        try:
            # Of what has grown, the beginning counts.
            found = measure(directory / name, wanted.bytes if grown is not manifest else None)
        except OSError as failure:
            expected, told = "", failure.strerror or str(failure)
        else:
            if found == wanted:
                continue
            expected = f"{wanted.bytes:,} bytes, checksum {wanted.xxh3_128}"
            told = f"{found.bytes:,} bytes, checksum {found.xxh3_128}"
        error = ContractError(directory / name, expected=expected, found=told, hint=again)
        is_whole = False
        yield Damage(error, rejected=name)
    if is_whole and grown is manifest:
        yield from _count_rejected(dataset, manifest)


def _count_rejected(dataset: Place, manifest: Manifest) -> Iterator[Damage]:
    """Prove that the manifest is true of the rejected records, which are as they were written."""
    try:
        count = sum(1 for _ in read_rejected(dataset)) if manifest.rejected_files else 0
    except ContractError as failure:
        yield Damage(failure)
        return
    if count != manifest.rejected:
        error = ContractError(
            dataset / REJECTED_NAME,
            expected=f"{manifest.rejected:,} rejected records",
            found=f"{count:,}",
            hint=UNTRUE,
        )
        yield Damage(error)
