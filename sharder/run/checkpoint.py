"""How far a run has come, on disk, so that the same command goes on there after a kill.

A checkpoint is written between two rounds of blocks, when all that it tells of is on disk. It holds
the state of the chains: the cut-off record, the shard numbers and the records left over, the
ledger, the profile. So a run that goes on writes the bytes that it would have written anyway.
"""

from __future__ import annotations

import dataclasses
import os
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import msgspec

from sharder.config import SplitConfig
from sharder.disk.staging import Staging
from sharder.graph.assign import SIDES
from sharder.graph.buckets import Buckets
from sharder.graph.ledger import REASONS_NAME, RECORDS_NAME, Ledger
from sharder.graph.number import Numbering
from sharder.graph.shards import ShardTable
from sharder.records.align import Alignment
from sharder.sides.rule import options_of
from sharder.sides.strata import Strata
from sharder.sources.source import Source
from shared.durable import sync_file_system, write_whole
from shared.errors import TargetError
from shared.layout import shard_name
from shared.manifest import Split, spell_path
from shared.reading import read_plain
from shared.snapshot import seal, unpack, unseal

if TYPE_CHECKING:
    from shared.profile import Profile

FORMAT = 4

# Options that change neither the bytes nor the profile.
_FREE = {
    *("sources", "out", "name", "scheduler", "dashboard", "workers"),
    *("checkpoint_every", "overwrite", "restart"),
}

# No run has so many records left over.
_MAX_BYTES = 4 << 30


class SourceState(msgspec.Struct, frozen=True):
    """What tells whether a source is the one that it was: size, version, checksum of its ends."""

    name: str
    size: int
    version: str
    ends: str


class Job(msgspec.Struct, frozen=True, kw_only=True):
    """What a run is asked to do: the options that count, the sources, and what it appends to."""

    format: int = FORMAT
    options: dict[str, str]
    sources: tuple[SourceState, ...]
    base: str = ""

    def check(self, earlier: Job) -> str:
        """Return why an unfinished run was another job; empty if it is this one.

        Raises:
            TargetError: it was this job, but a source has changed since.
        """
        for name, value in self.options.items():
            if value != (before := earlier.options.get(name)):
                return f"--{name.replace('_', '-')} was {before}, and is {value} now"
        if self.base != earlier.base:
            return "the dataset has changed since"
        if len(self.sources) != len(earlier.sources):
            return "it had other sources"
        for now, then in zip(self.sources, earlier.sources, strict=True):
            # The same file may have another name now: ./drop.csv, or an absolute one.
            if msgspec.structs.replace(now, name=then.name) != then:
                if now.name != then.name:
                    return "it had other sources"
                raise TargetError(
                    now.name,
                    expected=f"the {then.size:,} bytes that the unfinished run has begun to split",
                    found="other bytes"
                    if now.ends != then.ends
                    else f"{now.size:,} bytes"
                    if now.size != then.size
                    else "a file written since",
                    hint="restore the source, or give --restart to begin anew",
                )
        return ""


class Checkpoint(msgspec.Struct, kw_only=True):
    """The state between two rounds.

    Attributes:
        job: what the run was asked to do.
        split: the rule, with the times that part its sides.
        blocks: number of blocks that are done.
        read_bytes: number of bytes that were read of the sources.
        alignment, strata, numbering, ledger: where the chains are.
        shards: all that are written.
        buckets: of a shuffle, if the run has one.
        gathered: number of their parts that are in the shards.
    """

    job: Job
    split: Split
    blocks: int
    read_bytes: int
    alignment: Alignment
    strata: Strata
    numbering: Numbering
    ledger: Ledger
    shards: ShardTable
    buckets: Buckets | None
    gathered: int

    @property
    def is_sound(self) -> bool:
        """Whether a run of this version can have written it; the file may be anybody's."""
        shards, files = self.shards, self.ledger.file_bytes
        counts = [len(sizes) for sizes in shards.sizes]
        return (
            self.job.format == FORMAT
            and self.blocks >= 0
            and counts == [side.shards for side in self.numbering.sides]
            and [16 * n for n in counts] == [len(some) for some in shards.checksums]
            and len(counts) == len(SIDES)
            and files.keys() <= {REASONS_NAME, RECORDS_NAME}
            and min(files.values(), default=0) >= 0
            and self.gathered >= 0
            and (self.buckets is None or self.buckets.is_sound)
        )


def describe_job(config: SplitConfig, sources: Sequence[Source], base: str = "") -> Job | None:
    """Return what a run is asked to do; None if it cannot be gone on with.

    A stream cannot: what was read of it is gone.
    """
    if not all(source.has_ranges for source in sources):
        return None
    options = describe_options(config, sources)
    return Job(options=options, sources=tuple(map(_describe_source, sources)), base=base)


def describe_options(config: SplitConfig, sources: Sequence[Source]) -> dict[str, str]:
    """Return the options that count, by their names."""
    options = {
        option.name: str(getattr(config, option.name))
        for option in dataclasses.fields(config)
        if option.name not in _FREE
    }
    # The same rule may be asked for in more ways than one.
    options |= {name: str(value) for name, value in options_of(config.split).items()}
    if (cleaner := sources[0].cleaner) is not None:
        # Another code under the same name is another job.
        options["clean"] = f"{cleaner.code.function} of {cleaner.code.xxh3_128}"
    return options


def _describe_source(source: Source) -> SourceState:
    origin = source.origin
    return SourceState(spell_path(origin.name), origin.size or 0, origin.version, source.ends or "")


def save_checkpoint(checkpoint: Checkpoint, profile: Profile | None, file: Path) -> None:
    """Write a checkpoint, whole or not at all, once what it tells of is on disk.

    Behind it are the columns of the profile, one by one, since they may be large.
    """
    sync_file_system(file.parent)
    write_whole(file, seal([checkpoint, *(profile.column_profiles if profile else [])]))


def load_checkpoint(file: Path) -> tuple[Checkpoint, Iterator[memoryview]] | None:
    """Read a checkpoint; None if there is none, or none that is whole and of this version.

    Returns:
        The checkpoint, and the columns of the profile, packed. They are for who has imported their
        class, which needs Arrow; what is wrong with their sizes is told when they are taken.
    """
    try:
        states = unseal(read_plain(file, at_most=_MAX_BYTES))
        checkpoint = unpack(next(states, b""), Checkpoint)
    except (OSError, msgspec.DecodeError):
        return None
    return (checkpoint, states) if checkpoint.is_sound else None


def rewind(staged: Staging, checkpoint: Checkpoint) -> str:
    """Remove what was written since a checkpoint; return what is missing of what it tells of."""
    shards = checkpoint.shards
    for side, sizes, first in zip(SIDES, shards.sizes, shards.first, strict=True):
        found = staged.cut_shards(side, len(sizes))
        if found is None:
            return f"there is no directory of {side} shards"
        for number in range(first, len(sizes)):
            if found.get(number) != sizes[number]:
                return f"{side} shard {shard_name(number)} is not whole"
    ledger = checkpoint.ledger
    for path in ledger.directory.glob("*"):
        if path.name not in ledger.file_bytes:
            path.unlink()
    for name, size in ledger.file_bytes.items():
        path = ledger.directory / name
        if not path.exists() or path.stat().st_size < size:
            return f"{path.name} is not whole"
        os.truncate(path, size)
    return ""
