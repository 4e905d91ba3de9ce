"""A cleaning function on its way into a run: imported, and tried on the first records."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np

from sharder.graph.inspect import cut, inspect
from sharder.records.align import align, begin
from sharder.records.cleaning import TRIED, load_cleaner
from sharder.records.plain import write_plain
from sharder.records.scan import scan
from sharder.sources.source import Source
from sharder.sources.stream import Stream
from shared.manifest import Split

_TRIAL_BYTES = 1 << 16


def with_cleaner(
    sources: tuple[Source, ...], reference: str, max_record_bytes: int
) -> tuple[Source, ...]:
    """Return the sources with a function that cleans their records, and the header it makes.

    Args:
        sources: with the same header.
        reference: `MODULE:FUNCTION`.
        max_record_bytes: longest record.

    Raises:
        ConfigError: there is no such function, it fails, or it looks at more than one record.
    """
    first = next(source for source in sources if source.record_bytes)
    cleaner = load_cleaner(reference, first.header)
    known: dict[str, Any] = {
        "source": first.name,
        "encoding": first.encoding,
        "max_record_bytes": max_record_bytes,
    }
    with Stream(
        first.origin, first.compression, first.encoding, line_end=first.line_end, again=True
    ) as stream:
        stream.skip(first.data_offset)
        chunk = stream.read(_TRIAL_BYTES)
    scanned = scan(chunk.data, last=chunk.last, offset=chunk.offset, dialect=first.dialect)
    before = begin(lines=first.data_lines)
    records = inspect(
        *(scanned, before, align(scanned, before, **known)),
        **known,
        header=first.header,
        cleaner=None,
        split=Split(seed=0, validate_fraction=0),
    )
    some = np.flatnonzero(records.good)[:TRIED]
    cleaner = cleaner.tried(b"".join(cut(records.data, records.starts[some], records.ends[some])))
    header_line = write_plain(cleaner.header) + b"\n"
    return tuple(replace(source, header_line=header_line, cleaner=cleaner) for source in sources)
