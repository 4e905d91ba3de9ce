"""What a drop is appended to: where the chains ended behind the drops before it."""

from __future__ import annotations

import shutil
from array import array
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import xxhash

from sharder.config import SplitConfig
from sharder.dataset.kept import Kept, load_kept
from sharder.dataset.verify import require_manifest
from sharder.graph.assign import SIDES
from sharder.graph.build import State
from sharder.graph.ledger import Ledger
from sharder.graph.number import Numbering, SideNumbering
from sharder.graph.shards import ShardTable
from sharder.records.align import align, begin
from sharder.records.codec import AUTO
from sharder.records.encoding import UTF8
from sharder.records.header import check_same
from sharder.records.scan import scan
from sharder.sides.rule import options_of
from sharder.sources.source import Source
from shared.errors import ConfigError, ContractError, SourceError
from shared.layout import MANIFEST_NAME, REJECTED_NAME, Side, shard_path
from shared.manifest import Manifest
from shared.manifest_file import measure
from shared.reading import read_plain


@dataclass(frozen=True, kw_only=True)
class Base:
    """A dataset that a drop is appended to.

    Attributes:
        dataset: its directory.
        manifest: of the dataset.
        checksum: of its manifest.
        header_line: at the top of each shard.
        left_over: for each of `SIDES`, the records of its last shard if that has room for more.
        kept: what is kept of the chains.
        columns: those of the profile, packed; to be taken once.
    """

    dataset: Path
    manifest: Manifest
    checksum: str
    header_line: bytes
    left_over: tuple[bytes, ...]
    kept: Kept
    columns: Iterator[memoryview]

    def numbering(self) -> Numbering:
        """Return where the shards go on: with the last one of each side, if it is not full."""
        sides = []
        for side, records in zip(SIDES, self.left_over, strict=True):
            entry = self.manifest.sides.get(side)
            full, rest = divmod(entry.records if entry else 0, self.manifest.rows_per_shard)
            sides.append(SideNumbering(full, (records,) if records else (), rest))
        return Numbering(tuple(sides))

    def shards(self) -> ShardTable:
        """Return what is known of the full shards."""
        table = ShardTable()
        for index, numbering in enumerate(self.numbering().sides):
            if (entry := self.manifest.sides.get(SIDES[index])) is not None:
                table.first[index] = numbering.shards
                table.sizes[index] = array("q", entry.bytes[: numbering.shards])
                table.checksums[index] += bytes.fromhex("".join(entry.xxh3_128[: numbering.shards]))
        return table

    def go_on(self, state: State, staged: Path) -> State:
        """Return the state before the first block of a drop.

        Args:
            state: that of a dataset without a record.
            staged: directory to write to; gets the rejected records so far.

        Raises:
            ContractError: the rejected records are damaged.
        """
        profile = None
        if self.manifest.columns is not None:
            from sharder.graph.profile import restore_profile

            profile = restore_profile(self.columns, self.manifest.header)
            if profile is None:
                raise ContractError(
                    self.dataset / self.manifest.state_name,
                    expected="the profile of this table",
                    found="another one",
                )
        state.ledger.census = self.kept.census
        self._copy_rejected(state.ledger, staged)
        alignment = begin(records=self.manifest.records)
        return State(alignment, self.kept.strata, self.numbering(), state.ledger, profile)

    def _copy_rejected(self, ledger: Ledger, staged: Path) -> None:
        files = self.manifest.rejected_files
        if files:
            (staged / REJECTED_NAME).mkdir()
        for name, wanted in files.items():
            place = self.dataset / REJECTED_NAME / name
            if not place.exists() or measure(place) != wanted:
                raise _damaged(place, self.dataset)
            shutil.copyfile(place, staged / REJECTED_NAME / name)
            ledger.file_bytes[name] = wanted.bytes


def open_base(dataset: Path) -> Base:
    """Look at a dataset that a drop is to be appended to.

    Raises:
        ContractError: there is none, or what must be known of it is damaged.
    """
    manifest = require_manifest(dataset)
    head = _read_shard(dataset, manifest, Side.TRAIN, 0)
    header_line = head[: _end_of_header(head)]
    left_over = []
    kept, columns = load_kept(dataset, manifest)
    for side in SIDES:
        entry = manifest.sides.get(side)
        records = b""
        if entry is not None and entry.records % manifest.rows_per_shard:
            data = _read_shard(dataset, manifest, side, len(entry.bytes) - 1)
            records = data[_end_of_header(data) :]
        left_over.append(records)
    return Base(
        dataset=dataset,
        manifest=manifest,
        checksum=measure(dataset / MANIFEST_NAME).xxh3_128,
        header_line=header_line,
        left_over=tuple(left_over),
        kept=kept,
        columns=columns,
    )


def _read_shard(dataset: Path, manifest: Manifest, side: Side, number: int) -> bytes:
    path, entry = shard_path(dataset, side, number), manifest.sides[side]
    try:
        data = read_plain(path, at_most=entry.bytes[number])
    except OSError:
        raise _damaged(path, dataset) from None
    if xxhash.xxh3_128_hexdigest(data) != entry.xxh3_128[number]:
        raise _damaged(path, dataset)
    return data


def _damaged(path: Path, dataset: Path) -> ContractError:
    return ContractError(
        path,
        expected="the file that the manifest tells of",
        found="none, or another one",
        hint=f"`sharder repair {dataset}` writes it anew from its source",
    )


def _end_of_header(shard: bytes) -> int:
    aligned = align(
        scan(shard, last=True), begin(), source="", encoding=UTF8, max_record_bytes=len(shard)
    )
    return int(aligned.ends[0])


def check_options(config: SplitConfig) -> None:
    """Refuse an append with other options than those that the dataset was made with.

    Raises:
        ConfigError: options differ that must be the same, or the dataset is shuffled or cleaned.
        ContractError: there is no dataset.
    """
    manifest = require_manifest(config.dataset)
    made_with = appended_options(manifest, is_detected=config.dialect == AUTO)
    rule = options_of(config.split)
    differences = [
        f"{_option(name)} was {_spell(then)}, and is {_spell(now)} now"
        for name, then in made_with.items()
        if (now := rule.get(name, getattr(config, name))) != then
    ]
    more = {name: now for name, now in rule.items() if name not in made_with}
    differences += [
        f"{_option(name)} was not given, and is {_spell(now)} now" for name, now in more.items()
    ]
    if differences:
        raise ConfigError(
            "--append", expected=f"the options of {config.dataset}", found="; ".join(differences)
        )
    if manifest.split.shuffle:
        raise ConfigError(
            "--append",
            expected="a dataset whose records are in the order of the sources",
            found=f"{config.dataset}, which is shuffled",
            hint="shuffle all drops together: name them all, with --shuffle and --overwrite",
        )
    if config.clean is not None or manifest.cleaning is not None:
        raise ConfigError(
            "--append",
            expected="no --clean, and a dataset that was made without it",
            found=config.clean or f"{config.dataset}, which was cleaned",
            hint="clean all drops together: name them all, with --clean and --overwrite",
        )


def check_sources(sources: Sequence[Source], base: Base) -> None:
    """Refuse a drop of another dialect, with other columns, or one that is in the dataset already.

    Raises:
        SourceError: it is one of these.
    """
    known = {(entry.ends, entry.bytes): entry.path for entry in base.manifest.sources}
    dialect = base.manifest.sources[-1].dialect
    for source in sources:
        if source.dialect != dialect:
            raise SourceError(
                source.name,
                expected=f"the dialect of {base.dataset}, {dialect.options}",
                found=source.dialect.options,
            )
        check_same(source.name, source.header, str(base.dataset), base.manifest.header)
        if source.ends is not None and (path := known.get((source.ends, source.origin.size or 0))):
            raise SourceError(
                source.name,
                expected="a new drop",
                found=f"{path}, which is in {base.dataset} already",
                hint="records that are there twice would be on both sides",
            )


def _option(name: str) -> str:
    return f"--{name.replace('_', '-')}"


def _spell(value: object) -> str:
    if isinstance(value, bool):
        return "on" if value else "off"
    return "not given" if value is None else str(value)


def appended_options(manifest: Manifest, *, is_detected: bool) -> dict[str, object]:
    """Return the options of `SplitConfig` that a dataset was made with, and its drops must have.

    Args:
        manifest: of the dataset.
        is_detected: whether the dialect of the drop is; then it is no option.
    """
    options = {
        "rows_per_shard": manifest.rows_per_shard,
        "profile": manifest.columns is not None,
        **options_of(manifest.split),
    }
    if not is_detected:
        dialect = manifest.sources[-1].dialect
        options |= {
            "delimiter": dialect.delimiter,
            "quote_char": dialect.quote,
            "escape_char": dialect.escape,
        }
    return options
