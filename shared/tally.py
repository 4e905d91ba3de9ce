"""Different values and how often each was seen, as arrays: a tenth of the memory of a dict."""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc

# Values of one kind, shape (V,): NumPy's int64 or float64, or a pyarrow.StringArray (mypy knows
# nothing of Arrow).
Values = Any
Counts = npt.NDArray[np.int64]


class Tally:
    """Counts of values of one kind, added block by block and laid together now and then.

    It is laid together for a checkpoint, too. What is known of its size is as if it were not: a run
    shall not depend on when there was one.

    Attributes:
        waiting: number of values that were added since it was settled; some may be the same.
        parts: number of arrays of values; each takes a kilobyte or two, however few it has.
        nbytes: bytes of all values.
    """

    def __init__(self) -> None:
        """Begin with no value."""
        self._parts: list[tuple[Values, Counts]] = []
        self._settled = self.waiting = self.parts = self.nbytes = 0

    def __len__(self) -> int:
        """Return the number of different values, of what was settled."""
        return self._settled

    def dump(self) -> object:
        """Return it in a form that `load` reads."""
        values, counts = self._lay_together()
        known = (self._settled, self.waiting, self.parts, self.nbytes)
        if isinstance(values, pa.Array):
            return None, values.to_pylist(), counts.tobytes(), known
        return values.dtype.str, values.tobytes(), counts.tobytes(), known

    @classmethod
    def load(cls, dumped: Any) -> Tally:
        """Return what was dumped."""
        dtype, values, counts, known = dumped
        found = pa.array(values, pa.string()) if dtype is None else np.frombuffer(values, dtype)
        tally = cls()
        tally.add(found, np.frombuffer(counts, np.int64))
        tally._settled, tally.waiting, tally.parts, tally.nbytes = map(int, known)
        return tally

    def add(self, values: Values, counts: Counts) -> None:
        """Add the different values of a block, (V,), and how many records have each, (V,)."""
        self._parts.append((values, counts))
        self.waiting += len(counts)
        self.parts += 1
        self.nbytes += _count_bytes(values)

    def settle(self) -> tuple[Values, Counts]:
        """Lay together what was added; return the different values, (V,), and their counts."""
        values, counts = self._lay_together()
        self._settled, self.waiting, self.parts = len(counts), 0, 1
        self.nbytes = _count_bytes(values)
        return values, counts

    def _lay_together(self) -> tuple[Values, Counts]:
        if len(self._parts) > 1:
            values, counts = zip(*self._parts, strict=True)
            self._parts = [lay_together(values, np.concatenate(counts))]
        return self._parts[0]


def _count_bytes(values: Values) -> int:
    """Return the bytes of values, wherever in memory they are."""
    if isinstance(values, pa.Array):
        return int(pc.sum(pc.binary_length(values)).as_py() or 0) + 4 * len(values)
    return int(values.nbytes)


def lay_together(parts: tuple[Values, ...], counts: Counts) -> tuple[Values, Counts]:
    """Return the different values of some arrays, (V,), and the sums of their counts, (V,)."""
    if isinstance(parts[0], pa.Array):
        coded = pa.concat_arrays(parts).dictionary_encode()
        values, index = coded.dictionary, coded.indices.to_numpy()
    else:
        values, index = np.unique(np.concatenate(parts), return_inverse=True)
    # The weights are added as float64: exact up to 2**53 records.
    return values, np.bincount(index, weights=counts, minlength=len(values)).astype(np.int64)
