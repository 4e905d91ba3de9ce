"""Write anew what of a dataset is damaged or missing, from the sources, and nothing else.

The sources are split again, in the same graph, but only the shards that are wanted are written,
beside the dataset. Each takes its place only if its checksum is that of the manifest.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from rich.console import Console

from sharder.config import MAX_RECORD_BYTES, SplitConfig
from sharder.dataset.damage import find_damage
from sharder.dataset.verify import require_manifest
from sharder.disk.growth import refuse_links
from sharder.disk.staging import Staging
from sharder.disk.target import hidden_dir, workshop
from sharder.graph.assign import SIDES
from sharder.graph.write import Shelf
from sharder.records.codec import codec_name
from sharder.records.encoding import Encoding
from sharder.run.budget import fit
from sharder.run.passes import write_shards
from sharder.run.resume import begin_standing
from sharder.sources.drop import open_drop
from sharder.sources.source import Source, open_source
from shared.durable import sync_file_system, sync_names
from shared.errors import ContractError, SourceError, TargetError, dataset_in_store
from shared.layout import REJECTED_NAME, Side, shard_path, side_root
from shared.manifest import File, Manifest
from shared.manifest import Source as SourceEntry
from shared.manifest_file import measure
from shared.place import ObjectPath, Place


@dataclass(frozen=True)
class Repaired:
    """What a repair has done.

    Attributes:
        files: how many were written anew: shards, and those of the rejected records.
        moved: the files that were no part of the dataset, and where they are now.
    """

    files: int
    moved: tuple[tuple[Path, Path], ...]


@dataclass(frozen=True)
class _Wanted:
    """What is to be written anew: side, index into `SIDES`, and number of shards; other files."""

    shards: frozenset[tuple[int, int]]
    rejected: frozenset[str]

    def files(self, dataset: Path, manifest: Manifest) -> Iterator[tuple[Path, File]]:
        """Yield the path of each file, and what the manifest says of it."""
        for side, number in sorted(self.shards):
            entry = manifest.sides[SIDES[side]]
            wanted = File(bytes=entry.bytes[number], xxh3_128=entry.xxh3_128[number])
            yield shard_path(dataset, SIDES[side], number), wanted
        for name in sorted(self.rejected):
            yield dataset / REJECTED_NAME / name, manifest.rejected_files[name]


def run(dataset: Place, names: Sequence[str] = (), console: Console | None = None) -> Repaired:
    """Repair a dataset.

    Args:
        dataset: its directory.
        names: of the sources, in the order in which they were split; where they were, if not given.
        console: where to show progress; stderr by default.

    Raises:
        ConfigError: it is in a store.
        ContractError: there is no dataset, or its manifest is damaged or not true.
        SourceError: the sources are not there, or not what they were; good shards are untouched.
        TargetError: the dataset cannot be written.
    """
    if isinstance(dataset, ObjectPath):
        hint = "fetch it with all its sides, repair it here, and put it back"
        raise dataset_in_store(dataset, hint)
    dataset = side_root(dataset, Side.TRAIN)  # which is itself, with a name
    if not hidden_dir(dataset).exists():
        require_manifest(dataset)
    refuse_links(dataset)
    with workshop(dataset) as staged:
        manifest = require_manifest(dataset)
        wanted, extras, lost = _find(dataset, manifest)
        if wanted.shards or wanted.rejected:
            sources = _open_sources(dataset, manifest, names)
            _write(sources, staged, manifest, wanted, console or Console(stderr=True))
            _put_back(staged.dataset, dataset, manifest, wanted)
        moved = tuple(_move_away(dataset, extra) for extra in extras)
    if lost is not None:
        raise lost
    return Repaired(len(wanted.shards) + len(wanted.rejected), moved)


def _find(dataset: Path, manifest: Manifest) -> tuple[_Wanted, list[Path], ContractError | None]:
    """Return what to write anew, what is no part of the dataset, and what is beyond repair."""
    shards, rejected, extras = set(), set(), []
    lost = None
    for damage in find_damage(dataset, manifest):
        if damage.shard is not None:
            side, number = damage.shard
            shards.add((SIDES.index(side), number))
        elif damage.rejected is not None:
            rejected.add(damage.rejected)
        elif isinstance(damage.extra, Path):
            extras.append(damage.extra)
        else:
            lost = lost or damage.error
    return _Wanted(frozenset(shards), frozenset(rejected)), extras, lost


def _open_sources(dataset: Path, manifest: Manifest, names: Sequence[str]) -> list[Source]:
    """Open the sources that a dataset was made from.

    Raises:
        ContractError: the records went through a function of the user's.
        SourceError: one is not there, or is not what it was.
    """
    if manifest.cleaning is not None:
        raise ContractError(
            dataset,
            expected="records as they are in the sources",
            found=f"what {manifest.cleaning.function} has made of them, and a repair runs no code",
            hint="run the same `sharder split` command, with --overwrite",
        )
    entries = manifest.sources
    if names and len(names) != len(entries):
        raise SourceError(
            dataset,
            expected=f"its {len(entries):,} sources: {', '.join(entry.path for entry in entries)}",
            found=f"{len(names):,}",
            hint="name each, in this order",
        )
    opened = zip(entries, names or [entry.path for entry in entries], strict=True)
    return [_open_again(manifest, entry, name, f"sharder repair {dataset} SOURCE…")
            for entry, name in opened]  # fmt: skip


def _open_again(manifest: Manifest, entry: SourceEntry, name: str, command: str) -> Source:
    is_stream = entry.ends is None and "://" not in entry.path
    if is_stream and name == entry.path:
        raise SourceError(
            name,
            expected="a source that can be read again",
            found="a stream",
            hint=f"if you have what it was in a file, name that: `{command}`",
        )
    try:
        (origin,) = open_drop([name])
        encoding = Encoding(codec_name(entry.encoding))
    except SourceError as error:
        error.add_note(f"if it is elsewhere now, say where: `{command}`")
        raise
    except LookupError:
        raise ContractError(
            name, expected="an encoding that Python knows", found=repr(entry.encoding)
        ) from None
    source = open_source(
        origin,
        encoding,
        entry.dialect,
        () if entry.has_header else manifest.header,
        MAX_RECORD_BYTES,
    )
    origin.name = entry.path  # the reasons of rejected records name it as it was
    # Of what was a stream, nothing is known but its records, whose checksums will tell.
    if (entry.ends is not None and (origin.size, source.ends) != (entry.bytes, entry.ends)) or (
        source.header != manifest.header
    ):
        raise SourceError(
            name,
            expected=f"the {entry.bytes:,} bytes that the dataset was made from",
            found=f"{origin.size:,} bytes" if origin.size != entry.bytes else "other bytes",
            hint=f"restore it, or say where it is now: `{command}`",
        )
    return source


def _write(
    sources: Sequence[Source],
    staged: Staging,
    manifest: Manifest,
    wanted: _Wanted,
    console: Console,
) -> None:
    """Split the sources again, as far as it takes, but write only what is wanted."""
    config = SplitConfig(
        sources=tuple(source.name for source in sources),
        out=staged.dataset.parent,
        rows_per_shard=manifest.rows_per_shard,
        profile=False,
        max_rejected=1,
        max_record_bytes=MAX_RECORD_BYTES,
    )
    shelf = Shelf(
        dataset=staged.dataset,
        header_line=sources[0].header_line,
        rows_per_shard=manifest.rows_per_shard,
        wanted=wanted.shards,
        wants_all_records=bool(wanted.rejected),
    )
    config = fit(config, sources)
    standing = begin_standing(sources, staged, config, manifest.split)
    if not wanted.shards:
        standing.buckets = None  # nothing to shuffle
    write_shards(sources, staged, shelf, config, standing, console)


def _put_back(written: Path, dataset: Path, manifest: Manifest, wanted: _Wanted) -> None:
    """Move what was written to its place, if it is what the manifest says.

    Raises:
        SourceError: it is not, so the source is not what it was.
    """
    other = None
    places = []
    for (new, entry), (place, _) in zip(
        wanted.files(written, manifest), wanted.files(dataset, manifest), strict=True
    ):
        if new.exists() and measure(new) == entry:
            places.append((new, place))
        else:
            other = other or place
    sync_file_system(written)
    for new, place in places:
        place.parent.mkdir(parents=True, exist_ok=True)
        new.replace(place)
    for directory in {place.parent for _, place in places}:
        sync_names(directory)
    if other is not None:
        raise SourceError(
            other,
            expected="the records that it had",
            found="other ones in the source, which has changed since",
            hint=f"restore the source; {len(places):,} other files are repaired",
        )


def _move_away(dataset: Path, extra: Path) -> tuple[Path, Path]:
    """Move a file that is no part of the dataset, and return where from and where to."""
    place = dataset.with_name(f"{dataset.name}.extra") / extra.relative_to(dataset.parent)
    if place.exists():
        raise TargetError(
            place, expected="room for what is no part of the dataset", found="a file of this name"
        )
    place.parent.mkdir(parents=True, exist_ok=True)
    extra.rename(place)
    return extra, place
