"""Profile the columns of one block, in parallel; and chain 4, which adds the blocks up.

By far the costliest step, and the only one that needs Arrow: without it, that is not even imported.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from itertools import pairwise

import numpy as np
import pyarrow as pa

from sharder.graph.inspect import Records, cut
from sharder.records.lines import Positions
from shared.block_profile import BlockProfile, profile_block
from shared.profile import ColumnProfile, Profile
from shared.snapshot import unpack
from shared.values import read_text

# Larger blocks are profiled in parts, each of which takes some memory for each of its fields. The
# smaller the parts, the longer it takes: a sixth more in parts of 4 MiB, the double in 512 KiB.
_PROFILED_BYTES = 16 << 20

# Arrow takes three times the size of the text that it parses at once, beside what it gives. Parts
# of 1 to 4 MiB take a quarter less time, too, than 8 MiB.
_PARSED_BYTES = 2 << 20


def begin_profile(header: Sequence[str]) -> Profile:
    """Return the profile of no record, and make Arrow ready."""
    _prepare_arrow()
    return Profile.begin(header)


def restore_profile(columns: Iterable[memoryview], header: Sequence[str]) -> Profile | None:
    """Return a profile from its columns, each as `shared.snapshot.pack` gave it.

    None if they are not those of this table. Makes Arrow ready, too.
    """
    _prepare_arrow()
    profile = Profile([])
    try:
        for name, data in zip(header, columns, strict=True):
            column = unpack(data, ColumnProfile)
            if column.name != name:
                return None
            profile.column_profiles.append(column)
            # Tried on another one, since what is told of a column ends the adding up.
            with np.errstate(all="ignore"):
                unpack(data, ColumnProfile).finish()
    # The bytes may be anybody's, and what libraries say of parts that do not fit may be anything.
    except Exception:
        return None
    return profile


def _prepare_arrow() -> None:
    # Its own threads would come on top of the workers.
    pa.set_cpu_count(1)
    if "jemalloc" in pa.supported_memory_backends():
        # Gives memory back sooner than Arrow's default: 50 MiB less at the peak, as fast.
        pa.set_memory_pool(pa.jemalloc_memory_pool())


def profile(records: Records, *, header: Sequence[str]) -> list[BlockProfile]:
    """Profile the records of a block that are not rejected, in parts."""
    starts, ends = records.starts[records.good], records.ends[records.good]
    return [
        profile_block(header, _read_text(records.data, starts[part], ends[part], header))
        for part in _parts(starts, ends, _PROFILED_BYTES)
    ]


def add_up(before: Profile, parts: Sequence[BlockProfile]) -> Profile:
    """Add a block to the profile of those before it."""
    for part in parts:
        before.add(part)
    return before


def _read_text(
    data: bytes, starts: Positions, ends: Positions, header: Sequence[str]
) -> Iterator[pa.StringArray]:
    """Yield the columns of records, read in parts as `shared.values.read_text` does."""
    read = []
    for part in _parts(starts, ends, _PARSED_BYTES):
        slices = cut(data, starts[part], ends[part])
        read.append(read_text(slices[0] if len(slices) == 1 else b"".join(slices), header))
    # Each is let go of when it is looked at: never all of them twice.
    for _ in header:
        yield pa.concat_arrays([part.pop(0) for part in read])


def _parts(starts: Positions, ends: Positions, size: int) -> Iterator[slice]:
    """Yield slices of records, in equal parts of about this size in bytes."""
    if not len(starts):
        return
    # Rounded, not up: a part of a few records costs almost as much as a large one.
    parts = max(round(int(ends[-1] - starts[0]) / size), 1)
    bounds = [len(starts) * part // parts for part in range(parts + 1)]
    for first, last in pairwise(bounds):
        if first < last:
            yield slice(first, last)
