"""Records of any dialect as plain CSV, as the shards have them.

They have commas, and quotes only where they are needed. So a record of another dialect is the only
kind whose bytes change, and its fields never do.
"""

from __future__ import annotations

import csv
import io
from collections.abc import Sequence

import numpy as np
import numpy.typing as npt

from sharder.records.lines import CR, LF, Positions, find, move
from shared.dialect import PLAIN, Dialect

# Records that are read and written anew at once: as Python's objects they take ten times the room.
_FEW = 1000


def to_plain(
    dialect: Dialect, data: bytes, starts: Positions, ends: Positions, good: npt.NDArray[np.bool_]
) -> tuple[bytes, Positions, Positions]:
    """Return records as plain CSV: the bytes, and where each begins and ends in them.

    Args:
        dialect: of the records.
        data: the records, UTF-8.
        starts: (R,) where each begins, in order.
        ends: (R,) where each ends, line end included.
        good: (R,) whether its fields are right; what becomes of others is left open.
    """
    if dialect == PLAIN:
        return data, starts, ends
    # Records with quotes or escapes are read and written anew, one by one.
    special = {'"', dialect.quote or '"', dialect.escape or '"'} - {dialect.delimiter}
    rare = np.unique(np.searchsorted(ends, find(data, *map(ord, special)), side="right"))
    rare = rare[good[rare]]
    parts: list[bytes] = []
    done = 0
    for some in np.array_split(rare, len(rare) // _FEW + 1):
        spans = list(zip(starts[some].tolist(), ends[some].tolist(), strict=True))
        rows = dialect.read(b"".join(data[start:end] for start, end in spans).decode())
        for (start, end), row in zip(spans, rows, strict=True):
            record = write_plain(row)
            # The line end is what the fields do not have: of an escaped CR and a LF, the LF.
            line_end = _count_breaks(data[start:end]) - _count_breaks(record)
            parts += [_to_commas(dialect, data[done:start]), record, data[end - line_end : end]]
            done = end
    parts.append(_to_commas(dialect, data[done:]))
    plain = b"".join(parts)
    return plain, move(starts, data, plain), move(ends, data, plain)


def _to_commas(dialect: Dialect, data: bytes) -> bytes:
    """Return records without quotes as plain CSV."""
    if dialect.delimiter == ",":
        return data
    if b"," in data:
        data = _put_quotes(data, *_fields_with_commas(dialect, data))
    return data.translate(bytes.maketrans(dialect.delimiter.encode(), b","))


def _fields_with_commas(dialect: Dialect, data: bytes) -> tuple[Positions, Positions]:
    """Return where fields with a comma begin and end, (F,) each, in records without quotes."""
    ends = find(data, dialect.delimiter_byte, LF, CR)
    fields = np.searchsorted(ends, find(data, ord(",")))
    fields = fields[np.concatenate([np.ones(1, bool), fields[1:] != fields[:-1]])]
    starts = np.concatenate([np.zeros(1, np.int32), ends + np.int32(1)])
    return starts[fields], ends[fields]


def _count_breaks(data: bytes) -> int:
    return data.count(b"\n") + data.count(b"\r")


def _put_quotes(data: bytes, starts: Positions, ends: Positions) -> bytes:
    """Return data with a quote before each start, and one before each end."""
    places = np.stack([starts, ends], axis=1).reshape(-1) + np.arange(2 * len(starts))
    quoted = np.empty(len(data) + len(places), np.uint8)
    is_old = np.ones(len(quoted), bool)
    is_old[places] = False
    quoted[is_old] = np.frombuffer(data, np.uint8)
    quoted[places] = ord('"')
    return quoted.tobytes()


def write_plain(row: Sequence[str]) -> bytes:
    """Return a record as plain CSV, without a line end."""
    text = io.StringIO()
    # With both in the line end, the writer quotes a field that has either.
    csv.writer(text, lineterminator="\r\n").writerow(row)
    return text.getvalue().removesuffix("\r\n").encode()
