"""The pieces that sources are read in: each is one block of the graph."""

from __future__ import annotations

from collections.abc import Callable, Generator, Iterable, Iterator
from dataclasses import dataclass
from functools import partial
from itertools import chain, groupby, islice
from operator import attrgetter

from sharder.sources.source import Source
from sharder.sources.stream import Chunk
from shared.errors import SourceError

# Pieces in one graph at most. Between two graphs the workers run dry for a moment, so it is many;
# but a graph takes memory, some 10 KB a piece.
ROUND_PIECES = 256
_FIRST_ROUND_PIECES = 4


@dataclass(frozen=True)
class Piece:
    """A piece of a source.

    Attributes:
        source: what it is a piece of.
        first: whether it is the source's first.
        size: in bytes; None if it is known only when it was read.
        in_order: whether it can be read only when the piece before it was read.
        read: returns its bytes.
    """

    source: Source
    first: bool
    size: int | None
    in_order: bool
    read: Callable[[], Chunk]


def cut_rounds(
    sources: Iterable[Source],
    piece_bytes: int,
    *,
    done: int = 0,
    next_size: Callable[[], int] = lambda: ROUND_PIECES,
) -> Generator[list[Piece]]:
    """Yield the pieces of the sources, in order, as many as one graph shall have.

    Where a stream ends is known only when it was read. So a round may have pieces behind its end,
    which are empty, and the next round is asked for when the one before was read. To have few of
    them, a stream's first round is small, and each is twice as large as the one before.

    Args:
        sources: to cut.
        piece_bytes: size of each piece but the last of a source.
        done: number of pieces to begin behind; with streams among the sources it is 0.
        next_size: returns the number of pieces of the next round, if they are not of a stream.
    """
    for has_ranges, some in groupby(sources, attrgetter("has_ranges")):
        if has_ranges:
            all_pieces = chain.from_iterable(_cut_ranges(source, piece_bytes) for source in some)
            pieces = islice(all_pieces, done, None)
            while a_round := list(islice(pieces, next_size())):
                yield a_round
        else:
            for source in some:
                yield from _cut_stream(source, piece_bytes)


def _cut_ranges(source: Source, piece_bytes: int) -> Iterator[Piece]:
    size = source.origin.size or 0
    for offset in range(source.data_offset, size, piece_bytes):
        piece_size = min(piece_bytes, size - offset)
        read = partial(read_range, source, offset, piece_size)
        yield Piece(source, offset == source.data_offset, piece_size, in_order=False, read=read)


def read_range(source: Source, offset: int, size: int) -> Chunk:
    """Return a range of a source.

    Raises:
        SourceError: it is not there, though the source had it when it was opened.
    """
    data = source.origin.read(offset, size)
    if len(data) != size:
        raise SourceError(
            source.name,
            expected=f"{source.origin.size:,} bytes, as when the run began",
            found=f"the end after {offset + len(data):,}",
            hint="wait until the file is written, then run the same command again",
        )
    last = offset + size == source.origin.size
    if last and not data.endswith((b"\n", b"\r")):
        data += source.line_end
    return Chunk(data, last, offset, size)


def _cut_stream(source: Source, piece_bytes: int) -> Iterator[list[Piece]]:
    with source.open() as stream:
        stream.skip(source.data_offset)
        read = partial(stream.read, piece_bytes)
        first = Piece(source, first=True, size=None, in_order=True, read=read)
        other = Piece(source, first=False, size=None, in_order=True, read=read)
        yield [first] + [other] * (_FIRST_ROUND_PIECES - 1)
        n_pieces = 2 * _FIRST_ROUND_PIECES
        while not stream.ended:
            yield [other] * n_pieces
            n_pieces = min(2 * n_pieces, ROUND_PIECES)
