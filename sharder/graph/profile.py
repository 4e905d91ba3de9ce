"""Profile the columns of one block, in parallel; and chain 4, which adds the blocks up.

By far the costliest step, and the only one that needs Arrow: without it, that is not even imported.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from itertools import pairwise

import numpy as np
import pyarrow as pa

from sharder.graph.inspect import Records, cut
from sharder.records.lines import Positions
from shared.block_profile import BlockProfile, profile_block
from shared.profile import Profile
from shared.snapshot import unpack
from shared.values import read_text

# Arrow takes four times the size of the text it parses, so larger blocks are parsed in parts. The
# smaller the parts, the longer it takes: a sixth more in parts of 4 MiB, the double in 512 KiB.
_PART_BYTES = 16 << 20


def begin_profile(header: Sequence[str]) -> Profile:
    """Return the profile of no record, and make Arrow ready."""
    _prepare_arrow()
    return Profile.begin(header)


def restore_profile(data: bytes, header: Sequence[str]) -> Profile | None:
    """Return a profile that was packed, and make Arrow ready; None if it is none of this table."""
    _prepare_arrow()
    try:
        profile = unpack(data, Profile)
        if [column.name for column in profile.column_profiles] != list(header):
            return None
        # Tried on another one, since what is told of the columns ends the adding up.
        with np.errstate(all="ignore"):
            unpack(data, Profile).columns()
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
    good = records.good
    parts = _cut_parts(records.data, records.starts[good], records.ends[good])
    return [profile_block(header, read_text(part, header)) for part in parts]


def add_up(before: Profile, parts: Sequence[BlockProfile]) -> Profile:
    """Add a block to the profile of those before it."""
    for part in parts:
        before.add(part)
    return before


def _cut_parts(data: bytes, starts: Positions, ends: Positions) -> Iterator[bytes | memoryview]:
    """Yield records in equal parts of about `_PART_BYTES`."""
    if not len(starts):
        return
    # Rounded, not up: a part of a few records costs almost as much as a large one.
    parts = max(round(int(ends[-1] - starts[0]) / _PART_BYTES), 1)
    bounds = [len(starts) * part // parts for part in range(parts + 1)]
    for first, last in pairwise(bounds):
        slices = cut(data, starts[first:last], ends[first:last])
        if slices:
            yield slices[0] if len(slices) == 1 else b"".join(slices)
