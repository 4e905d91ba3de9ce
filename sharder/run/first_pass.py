"""A pass over the sources before the split, which reads the times of their records."""

from __future__ import annotations

import time
from contextlib import closing
from pathlib import Path
from typing import cast

from rich.console import Console

from sharder.config import SplitConfig
from sharder.graph.inspect import Records
from sharder.graph.pool import threads
from sharder.graph.reading import ALIGN, Builder
from sharder.records.align import begin
from sharder.run.progress import ProgressCallback, say
from sharder.sides.keys import Fields
from sharder.sides.quantile import Timeline
from sharder.sides.times import kind_of
from sharder.sources.piece import cut_rounds
from sharder.sources.source import Source
from shared.errors import SourceError
from shared.manifest import Split

_COLLECT = "collect"


def needs_first_pass(split: Split) -> bool:
    """Tell whether a rule has a column of times, but not those that part its sides."""
    return split.by == "time" and kind_of(split) is None


def check_repeatable(sources: tuple[Source, ...]) -> None:
    """Refuse sources that can be read only once.

    Raises:
        SourceError: one is a stream.
    """
    for source in sources:
        if not source.origin.has_ranges:
            raise SourceError(
                source.name,
                expected="a file, whose times are looked at before it is split",
                found="a stream, which can be read only once",
                hint="say where validation begins with --validate-from, or make it a file",
            )


def find_cuts(
    sources: tuple[Source, ...],
    split: Split,
    config: SplitConfig,
    directory: Path,
    console: Console,
) -> Split:
    """Return the rule with the times that part its sides, from the shares that they shall have.

    Args:
        sources: that can be read again.
        split: the rule, without these times.
        config: of the run.
        directory: on a file system with room for 8 bytes for each record.
        console: where to show progress, and the times.

    Raises:
        ConfigError: no record has a time.
        SourceError: the sources cannot be split.
    """
    started = time.monotonic()
    total = sum(source.origin.size or 0 for source in sources)
    alignment, timeline = begin(), Timeline.begin(split.column or "", directory)
    with (
        closing(timeline.file),
        closing(cut_rounds(sources, config.block_bytes)) as rounds,
        threads(config.workers, sources) as pool,
        ProgressCallback(total, 0, console, task="looking at times"),
    ):
        for pieces in rounds:
            builder = Builder(alignment, split, config)
            builder.graph[_COLLECT, -1] = timeline
            for index, piece in enumerate(pieces):
                records = builder.add_records(index, piece, last_steps=(_COLLECT,))
                builder.add(_COLLECT, index, _collect, (_COLLECT, index - 1), records)
            wanted = [(ALIGN, len(pieces) - 1), (_COLLECT, len(pieces) - 1)]
            alignment, timeline = pool.get(builder.graph, wanted)
        found = timeline.find_cuts(split)
    parts = {"validation": found.validate_from, "test": found.test_from}
    begins = ", ".join(f"{side} from {cut}" for side, cut in parts.items() if cut is not None)
    seconds = time.monotonic() - started
    say(console, f"{begins}, by {timeline.count:,} times that were looked at in {seconds:.1f} s")
    return found


def _collect(before: Timeline, records: Records) -> Timeline:
    return before.add(cast("Fields", records.keys).text)
