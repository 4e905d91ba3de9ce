"""Some bytes of a source from several places of it, to tell what it is before all of it is read."""

from __future__ import annotations

from sharder.records.encoding import UTF8, Encoding
from sharder.sources.compression import Compression
from sharder.sources.origin import Origin
from sharder.sources.stream import Stream


def has_places(origin: Origin, compression: Compression | None) -> bool:
    """Tell whether a source can be looked at behind its head."""
    return origin.has_ranges and compression is None and bool(origin.size)


def sample_bytes(
    origin: Origin,
    compression: Compression | None,
    *,
    places: int,
    place_bytes: int,
    stream_bytes: int,
) -> list[bytes]:
    """Return what lies in several places of a source, unpacked; first its start.

    Args:
        origin: of the source.
        compression: what it is packed in.
        places: how many, evenly over the source.
        place_bytes: size of each.
        stream_bytes: of a stream, this many of its first bytes are looked at: they must be kept to
            be read again.
    """
    if not has_places(origin, compression):
        with Stream(origin, compression, UTF8, again=True) as stream:
            return [stream.read(stream_bytes).data]
    size = origin.size or 0
    step = max(size // places, place_bytes)
    return [origin.read(offset, min(place_bytes, size - offset)) for offset in range(0, size, step)]


def sample_texts(
    origin: Origin,
    compression: Compression | None,
    encoding: Encoding,
    *,
    places: int,
    place_bytes: int,
    stream_bytes: int,
) -> list[str]:
    """Return whole lines from several places of a source; first its start.

    Where text must be decoded from the start on, only that is looked at.
    """
    if not encoding.is_searchable:
        with Stream(origin, compression, encoding, again=True) as stream:
            samples = [stream.read(stream_bytes).data]
        name = "utf-8"
    else:
        samples = sample_bytes(
            origin,
            compression,
            places=places,
            place_bytes=place_bytes,
            stream_bytes=stream_bytes,
        )
        name = encoding.name
    head = _cut_lines(samples[0], begun=False) or samples[0]
    others = [_cut_lines(sample, begun=True) for sample in samples[1:]]
    texts = [sample.decode(name, "replace") for sample in (head, *others) if sample]
    return [texts[0].removeprefix("\ufeff"), *texts[1:]] if texts else [""]


def _cut_lines(sample: bytes, *, begun: bool) -> bytes:
    """Return the whole lines of a sample; `begun` says whether the first may be cut off."""
    break_ = b"\n" if b"\n" in sample else b"\r"
    first = sample.find(break_) + 1 if begun else 0
    last = sample.rfind(break_) + 1
    return sample[first:last]
