"""Different values and how often each was seen, as arrays: a tenth of the memory of a dict."""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt
import pyarrow as pa

# Values of one kind, shape (V,): NumPy's int64 or float64, or a pyarrow.StringArray (mypy knows
# nothing of Arrow).
Values = Any
Counts = npt.NDArray[np.int64]


class Tally:
    """Counts of values of one kind, added block by block and laid together now and then."""

    def __init__(self) -> None:
        """Begin with no value."""
        self._parts: list[tuple[Values, Counts]] = []
        self._settled = 0

    def __len__(self) -> int:
        """Return the number of different values, of what was settled."""
        return self._settled

    def dump(self) -> object:
        """Return it in a form that `load` reads."""
        values, counts = self.settle()
        if isinstance(values, pa.Array):
            return None, values.to_pylist(), counts.tobytes()
        return values.dtype.str, values.tobytes(), counts.tobytes()

    @classmethod
    def load(cls, dumped: Any) -> Tally:
        """Return what was dumped."""
        dtype, values, counts = dumped
        found = pa.array(values, pa.string()) if dtype is None else np.frombuffer(values, dtype)
        tally = cls()
        tally.add(found, np.frombuffer(counts, np.int64))
        tally.settle()
        return tally

    @property
    def parts(self) -> int:
        """Number of arrays of values; each takes a kilobyte or two, however few it has."""
        return len(self._parts)

    @property
    def waiting(self) -> int:
        """Number of values that were added and not settled; some may be the same."""
        return sum(len(counts) for _, counts in self._parts) - self._settled

    @property
    def nbytes(self) -> int:
        """Bytes of all values."""
        return sum(int(values.nbytes) for values, _ in self._parts)

    def add(self, values: Values, counts: Counts) -> None:
        """Add the different values of a block, (V,), and how many records have each, (V,)."""
        self._parts.append((values, counts))

    def settle(self) -> tuple[Values, Counts]:
        """Lay together what was added; return the different values, (V,), and their counts."""
        if len(self._parts) > 1:
            values, counts = zip(*self._parts, strict=True)
            self._parts = [lay_together(values, np.concatenate(counts))]
        self._settled = len(self._parts[0][1]) if self._parts else 0
        return self._parts[0]


def lay_together(parts: tuple[Values, ...], counts: Counts) -> tuple[Values, Counts]:
    """Return the different values of some arrays, (V,), and the sums of their counts, (V,)."""
    if isinstance(parts[0], pa.Array):
        coded = pa.concat_arrays(parts).dictionary_encode()
        values, index = coded.dictionary, coded.indices.to_numpy()
    else:
        values, index = np.unique(np.concatenate(parts), return_inverse=True)
    # The weights are added as float64: exact up to 2**53 records.
    return values, np.bincount(index, weights=counts, minlength=len(values)).astype(np.int64)
