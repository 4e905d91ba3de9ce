"""Where a run stands between two rounds of blocks, and how it begins: anew, or where one ended."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path

from rich.console import Console

from sharder.config import SplitConfig
from sharder.disk.staging import Staging
from sharder.graph.buckets import Buckets
from sharder.graph.build import State
from sharder.graph.ledger import Ledger
from sharder.graph.number import Numbering
from sharder.graph.shards import ShardTable
from sharder.records.align import begin
from sharder.run.base import Base
from sharder.run.checkpoint import (
    Checkpoint,
    Job,
    describe_job,
    load_checkpoint,
    rewind,
    save_checkpoint,
)
from sharder.run.progress import say
from sharder.sides.strata import Strata
from sharder.sources.source import Source
from shared.layout import REJECTED_NAME
from shared.manifest import Split


@dataclass(kw_only=True)
class Standing:
    """Where a run stands.

    Attributes:
        job: what it is asked to do; None if it cannot be gone on with after a kill.
        split: the rule that puts the records on their sides.
        state: of the chains.
        shards: all that are written.
        blocks: number of blocks that are done.
        read_bytes: number of bytes of the sources that were read, by earlier runs too.
        earlier_bytes: those by earlier runs.
        buckets: of a shuffle, if the run has one.
        gathered: number of their parts that are in the shards.
    """

    job: Job | None
    split: Split
    state: State
    shards: ShardTable
    blocks: int = 0
    read_bytes: int = 0
    earlier_bytes: int = 0
    buckets: Buckets | None = None
    gathered: int = 0

    def save(self, staged: Staging) -> None:
        """Write a checkpoint, if the run can be gone on with.

        Raises:
            TargetError: another run has taken the place over.
        """
        staged.check_ours()
        if self.job is None:
            return
        checkpoint = Checkpoint(
            job=self.job,
            split=self.split,
            blocks=self.blocks,
            read_bytes=self.read_bytes,
            alignment=self.state.alignment,
            strata=self.state.strata,
            numbering=self.state.numbering,
            ledger=self.state.ledger,
            shards=self.shards,
            buckets=self.buckets,
            gathered=self.gathered,
        )
        save_checkpoint(checkpoint, self.state.profile, staged.checkpoint)


def begin_run(
    sources: Sequence[Source],
    staged: Staging,
    config: SplitConfig,
    console: Console,
    base: Base | None = None,
) -> Standing:
    """Go on where an earlier run has stopped, or begin anew; say so on the console.

    Args:
        sources: of the run.
        staged: where it writes to.
        config: of the run.
        console: where to say so.
        base: what it appends to, if it does.

    Raises:
        ContractError: the dataset that it appends to is damaged.
        TargetError: a source has changed since.
    """
    job = describe_job(config, sources, base.checksum if base else "")
    loaded = None if config.restart else load_checkpoint(staged.checkpoint)
    reason = "it has no checkpoint" if job else "a stream cannot be read again"
    if loaded and job:
        earlier, columns = loaded
        earlier.ledger.directory = staged.dataset / REJECTED_NAME
        reason = job.check(earlier.job) or rewind(staged, earlier)
        if not reason and earlier.buckets is not None:
            reason = earlier.buckets.rewind(staged.buckets, earlier.gathered)
        header = sources[0].header if config.profile else ()
        standing = None if reason else _restore(earlier, columns, header)
        if standing:
            for source, then in zip(sources, earlier.job.sources, strict=True):
                source.origin.name = then.name  # in all that is written, it has one name
            done = earlier.read_bytes / sum(source.origin.size or 0 for source in sources)
            if earlier.buckets is not None:  # two passes
                done = (done + earlier.gathered / max(len(earlier.buckets.parts()), 1)) / 2
            say(console, f"going on at {done:.0%}, where an earlier run has stopped")
            return standing
        reason = reason or "its checkpoint has the profile of another table"
    if staged.begin() and not config.restart:
        say(console, f"an unfinished run is not gone on with: {reason}")
    split = base.manifest.split if base else config.split
    standing = begin_standing(sources, staged, config, split, job)
    if base is not None:
        standing.state = base.go_on(standing.state, staged.dataset)
        standing.shards = base.shards()
    return standing


def begin_standing(
    sources: Sequence[Source],
    staged: Staging,
    config: SplitConfig,
    split: Split,
    job: Job | None = None,
) -> Standing:
    """Return where a run stands before its first block.

    Args:
        sources: of the run.
        staged: an empty directory to write to.
        config: of the run.
        split: the rule that puts the records on their sides.
        job: what it is asked to do; None if it cannot be gone on with after a kill.
    """
    return Standing(
        job=job,
        split=split,
        state=begin_state(sources, staged.dataset, config),
        shards=ShardTable(),
        buckets=_begin_buckets(sources, staged, config) if split.shuffle else None,
    )


def begin_state(sources: Sequence[Source], dataset: Path, config: SplitConfig) -> State:
    """Return the state before the first block."""
    first = sources[0]
    sizes = [source.data_bytes for source in sources]
    ledger = Ledger.begin(
        first.columns,
        dataset,
        data_bytes=None if None in sizes else sum(size or 0 for size in sizes),
        max_rejected=config.max_rejected,
    )
    profile = None
    if config.profile:
        # Not before now: without a profile, a run does not wait for Arrow to be imported.
        from sharder.graph.profile import begin_profile

        profile = begin_profile(first.header)
    return State(begin(), Strata(), Numbering(), ledger, profile)


def _begin_buckets(sources: Sequence[Source], staged: Staging, config: SplitConfig) -> Buckets:
    staged.buckets.mkdir()
    # Of sources that are streams, nobody knows the size of what is in them.
    has_size = all(source.has_ranges for source in sources)
    total = sum(source.origin.size or 0 for source in sources) if has_size else None
    return Buckets.begin(total, config.block_bytes)


def _restore(
    earlier: Checkpoint, columns: Iterable[memoryview], header: Sequence[str]
) -> Standing | None:
    """Return where a checkpoint stands; None if its profile is none of a table of this header.

    Args:
        earlier: the checkpoint.
        columns: of its profile.
        header: names of the columns that are profiled.
    """
    profile = None
    if header:
        from sharder.graph.profile import restore_profile

        profile = restore_profile(columns, header)
        if profile is None:
            return None
    return Standing(
        job=earlier.job,
        split=earlier.split,
        state=State(
            alignment=earlier.alignment,
            strata=earlier.strata,
            numbering=earlier.numbering,
            ledger=earlier.ledger,
            profile=profile,
        ),
        shards=earlier.shards,
        blocks=earlier.blocks,
        read_bytes=earlier.read_bytes,
        earlier_bytes=earlier.read_bytes,
        buckets=earlier.buckets,
        gathered=earlier.gathered,
    )
