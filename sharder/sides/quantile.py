"""From which times on records are for validation and test, where the user gives their shares.

A first pass over the sources reads the times of all records, 8 bytes each, into a file that has no
name, so that none is left over: memory is bounded, and the result exact.
"""

from __future__ import annotations

import math
import tempfile
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import IO, Any

import numpy as np
import numpy.typing as npt
from msgspec.structs import replace

from sharder.sides.times import Time, TimeKind, Values, find_kind, read_times, spell_time
from shared.errors import ConfigError
from shared.manifest import Split

_CHUNK_BYTES = 8 << 20
_SIGN = np.uint64(1 << 63)
_DIGIT_BITS = 16
_TRIED = 1000

Keys = npt.NDArray[np.uint64]


@dataclass
class Timeline:
    """The times of all records so far, in a file.

    Attributes:
        column: name of the column, for messages.
        file: of the times, as keys that sort as they do.
        kind: of the times: that of the first that could be read; None before that.
        count: number of times.
        tried: fields that were looked at in vain, as long as there is no kind.
    """

    column: str
    file: IO[bytes]
    kind: TimeKind | None = None
    count: int = 0
    tried: int = 0

    @classmethod
    def begin(cls, column: str, directory: Path) -> Timeline:
        """Begin with no time, and a file on the file system of a directory."""
        return cls(column, tempfile.TemporaryFile(dir=directory))

    def add(self, fields: Any) -> Timeline:
        """Add the times of a block, a pyarrow.StringArray; what is none is left out.

        Raises:
            ConfigError: the first fields that are not empty are no times.
        """
        if self.kind is None:
            # To look at one that is none takes half a millisecond.
            some = [field for field in fields.to_pylist() if field.strip()][: _TRIED - self.tried]
            self.kind, self.tried = find_kind(some), self.tried + len(some)
            if self.kind is None and self.tried == _TRIED:
                raise self._no_times(f"none in the first {_TRIED:,} fields that are not empty")
        if self.kind is not None:
            values, readable = read_times(fields, self.kind)
            keys = _to_keys(values[readable])
            self.file.write(keys.tobytes())
            self.count += len(keys)
        return self

    def find_cuts(self, split: Split) -> Split:
        """Return the rule with the times that part its sides.

        Test gets the last records, no less than its share, with all that have the time of the first
        of these; of what is left, validation gets its share of all in the same way.

        Raises:
            ConfigError: there is no time.
        """
        if self.kind is None:
            raise self._no_times("none in any record")
        left = self.count
        cuts: list[str | None] = []
        for share in (split.test_fraction, split.validate_fraction):
            if share:
                # Rounded first: 0.07 * 100 is a bit more than 7.
                size = math.ceil(round(share * self.count, 6))
                cut = self._find(max(left - size, 0))
                left = sum(int(np.count_nonzero(keys < cut)) for keys in self._chunks())
                cuts.append(spell_time(_to_time(cut, self.kind), self.kind))
            else:
                cuts.append(None)
        test_from, validate_from = cuts
        return replace(split, validate_from=validate_from, test_from=test_from)

    def _no_times(self, found: str) -> ConfigError:
        return ConfigError(
            f"--time-column {self.column}", expected="timestamps, integers or numbers", found=found
        )

    def _find(self, rank: int) -> np.uint64:
        """Return the key that so many are before in order, digit by digit from the first."""
        found = 0
        for shift in range(64 - _DIGIT_BITS, -1, -_DIGIT_BITS):
            counts = np.zeros(1 << _DIGIT_BITS, np.int64)
            for keys in self._chunks():
                digits = keys >> np.uint64(shift)
                same = digits >> np.uint64(_DIGIT_BITS) == found
                digit = digits[same] & np.uint64((1 << _DIGIT_BITS) - 1)
                counts += np.bincount(digit.astype(np.int64), minlength=len(counts))
            before = np.cumsum(counts)
            digit_found = int(np.searchsorted(before, rank, side="right"))
            rank -= int(before[digit_found] - counts[digit_found])
            found = found << _DIGIT_BITS | digit_found
        return np.uint64(found)

    def _chunks(self) -> Iterator[Keys]:
        self.file.seek(0)
        while data := self.file.read(_CHUNK_BYTES):
            yield np.frombuffer(data, np.uint64)


def _to_keys(values: Values) -> Keys:
    if values.dtype == np.int64:
        return values.view(np.uint64) ^ _SIGN
    bits = (values + 0.0).view(np.uint64)  # there is no -0.0
    return np.where(bits & _SIGN, ~bits, bits | _SIGN)


def _to_time(key: np.uint64, kind: TimeKind) -> Time:
    keys = np.array([key])
    if kind is not TimeKind.NUMBER:
        time: Time = (keys ^ _SIGN).view(np.int64)[0].item()
        return time
    number: float = np.where(keys & _SIGN, keys ^ _SIGN, ~keys).view(np.float64)[0].item()
    return number
