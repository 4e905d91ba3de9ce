"""A look at records from several places of the sources, through the steps of a real run."""

from __future__ import annotations

import contextlib
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field, replace

import numpy as np

from sharder.config import SplitConfig
from sharder.graph.inspect import Rejected
from sharder.plan.look import Look, Suspicion
from sharder.records.align import begin
from sharder.records.scan import Scan, scan
from sharder.sources.piece import read_range
from sharder.sources.source import Source
from sharder.sources.stream import Chunk
from shared.errors import SourceError

# What is looked at of all sources together: 8 MiB. Of a stream, its first bytes.
_PLACES = 8
_PLACE_BYTES = 1 << 20


@dataclass(kw_only=True)
class Survey:
    """What was found in some places of the sources.

    Attributes:
        places: number of them.
        is_whole: whether they are all that there is.
        head_only: whether there are sources of which only the start was looked at.
        read_bytes: number of bytes of the sources that held the records, packed if they are.
        text_bytes: number of bytes of their records in the text of the sources.
        total_bytes: size of all sources as they are read, without headers; None if unknown.
        n_records: number of records, rejected ones too.
        rejected: the rejected ones; their numbers and lines hold only if all was looked at.
        records: the others, as they would be in shards, a part for each place.
        stray: records with a quote in the middle of a field that is not quoted.
        swallowed: records with a quoted field that looks as if it held other records.
        open_end: records at the end of a source that end inside quotes.
        nulls: records with a field that is an escaped N, as some programs write NULL.
        read_seconds: time that reading took.
        work_seconds: CPU time that it took to find and check the records.
    """

    places: int = 0
    is_whole: bool = True
    head_only: bool = False
    read_bytes: int = 0
    text_bytes: int = 0
    total_bytes: int | None = 0
    n_records: int = 0
    rejected: list[Rejected] = field(default_factory=list)
    records: list[bytes] = field(default_factory=list)
    stray: Suspicion = field(default_factory=Suspicion)
    swallowed: Suspicion = field(default_factory=Suspicion)
    open_end: Suspicion = field(default_factory=Suspicion)
    nulls: Suspicion = field(default_factory=Suspicion)
    read_seconds: float = 0.0
    work_seconds: float = 0.0

    @property
    def expected_records(self) -> int | None:
        """Number of records in all sources; None if their size is not known."""
        if self.is_whole:
            return self.n_records
        if self.total_bytes is None or not self.read_bytes:
            return None
        return round(self.n_records * self.total_bytes / self.read_bytes)


def survey(sources: Sequence[Source], config: SplitConfig) -> Survey:
    """Look at records from several places of the sources.

    Raises:
        SourceError: what the run would meet, too: a record without an end.
    """
    found = Survey()
    some = sources[:: -(-len(sources) // _PLACES)]
    found.is_whole = len(some) == len(sources)
    sizes = [_data_bytes(source) for source in sources]
    found.total_bytes = None if None in sizes else sum(size or 0 for size in sizes)
    for source in some:
        places = _read_ranges if source.has_ranges else _read_head
        for place in places(source, _PLACES // len(some)):
            found.places += 1
            found.is_whole &= place.is_whole
            found.head_only |= not source.has_ranges and not place.is_whole
            found.read_seconds += place.seconds
            _look(place, source, sources[0].header, config, found)
    return found


@dataclass(frozen=True, kw_only=True)
class _Place:
    """Bytes of a source.

    Attributes:
        chunk: the bytes.
        begins_record: whether they begin with a record.
        is_whole: whether they are all records of the source.
        seconds: that reading took.
        packing: number of bytes that were read for each byte of the text.
    """

    chunk: Chunk
    begins_record: bool
    is_whole: bool
    seconds: float
    packing: float = 1.0


def _data_bytes(source: Source) -> int | None:
    """Return the size of a source as it is read, without what is known not to be records."""
    if source.origin.size is None:
        return None
    return max(source.origin.size - (source.data_offset if source.has_ranges else 0), 0)


def _read_ranges(source: Source, places: int) -> Iterator[_Place]:
    first, size = source.data_offset, _data_bytes(source) or 0
    is_whole = size <= places * _PLACE_BYTES
    length = size if is_whole else _PLACE_BYTES
    # The last place is the end: a file that is cut short shows it there.
    offsets = [0] if is_whole else np.linspace(0, size - length, places).astype(int).tolist()
    for offset in offsets:
        started = time.monotonic()
        chunk = read_range(source, first + offset, length)
        seconds = time.monotonic() - started
        yield _Place(chunk=chunk, begins_record=offset == 0, is_whole=is_whole, seconds=seconds)


def _read_head(source: Source, places: int) -> Iterator[_Place]:
    started = time.monotonic()
    with source.open() as stream:
        stream.skip(source.data_offset)
        head = stream.read(_PLACE_BYTES)
        rest = stream.read(max(places - 1, 1) * _PLACE_BYTES)
    seconds = time.monotonic() - started
    data, last = head.data + rest.data, head.last or rest.last
    # Buffers are as full behind the head as they are behind the rest.
    packing = rest.n_read / len(rest.data) if rest.n_read else head.n_read / max(len(head.data), 1)
    yield _Place(
        chunk=replace(head, data=data, last=last),
        begins_record=True,
        is_whole=last,
        seconds=seconds,
        packing=packing,
    )


def _look(
    place: _Place, source: Source, header: Sequence[str], config: SplitConfig, found: Survey
) -> None:
    """Look at the records of a place, and add what is found."""
    started = time.thread_time()
    piece = _scan(place.chunk, source)
    if place.begins_record:
        looks = [Look.at(piece, begin(lines=source.data_lines), source, header, config)]
    else:
        # It begins anywhere; where the first record ends depends on whether that is in quotes. For
        # the wrong one of the two the source may end within a record: that is looked at later.
        looks = []
        for inside in (False, True):
            if len(ends := piece.ends[inside]):
                start = int(ends[0])
                data, offset = place.chunk.data[start:], place.chunk.offset + start
                rest = _scan(Chunk(data, last=False, offset=offset), source)
                with contextlib.suppress(SourceError):
                    looks.append(Look.at(rest, begin(), source, header, config))
    if not looks:
        return
    # Both may find their way after one bad record.
    look = max(looks, key=lambda look: (look.n_good, -len(look.records.rejected)))
    found.work_seconds += (time.thread_time() - started) / len(looks)
    found.read_bytes += round(look.records.text_bytes * place.packing)
    found.text_bytes += look.records.text_bytes
    found.n_records += len(look.records.starts)
    found.rejected += look.records.rejected
    found.records.append(look.good_records())
    found.stray.add(look.find_stray())
    found.swallowed.add(look.find_swallowed(len(header)))
    found.nulls.add(look.find_nulls())
    if place.chunk.last and look.aligned.state.inside:
        found.open_end.add([look.aligned.tail])


def _scan(chunk: Chunk, source: Source) -> Scan:
    return scan(chunk.data, last=chunk.last, offset=chunk.offset, dialect=source.dialect)
