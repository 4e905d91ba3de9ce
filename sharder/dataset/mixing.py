"""How the values of a column are spread: over the sides, and over the shards of one side.

How mixed the shards are is told by the share of a column's variance that lies between them: with
all equal values in one shard it is 1; in an order as good as random (S - 1) / (N - 1) is expected
of S shards and N records. Of numbers and times, variance is what it always is; of classes, it is
the chance that two records are of different ones. (Light, Margolin: An analysis of variance for
categorical data, JASA 1971.)
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass, field
from functools import partial
from typing import Any

import numpy as np

from sharder.graph.pool import map_numbers
from sharder.sides.strata import MAX_CLASSES
from shared.errors import ConfigError, ContractError, no_such_column
from shared.layout import Side, shard_path
from shared.manifest import Manifest
from shared.place import Place
from shared.reading import open_plain
from shared.schema import ColumnType
from shared.values import parse_column, read_text

_NUMBERS = {ColumnType.INTEGER, ColumnType.NUMBER}


@dataclass(frozen=True)
class Mixing:
    """How a column is spread over the shards of a side.

    Attributes:
        column: its name.
        between: share of its variance that lies between the shards; None if it has none.
        expected: of an order as good as random.
    """

    column: str
    between: float | None
    expected: float


@dataclass
class _Classes:
    """The classes of a column, shard after shard.

    Attributes:
        totals: number of records of each.
        shards: number of shards.
        same: sum over the shards and classes of the square of the class's records there, divided
            by the shard's.
    """

    totals: Counter[str] = field(default_factory=Counter)
    shards: int = 0
    same: float = 0.0

    def add(self, counts: dict[str, int]) -> None:
        self.totals.update(counts)
        self.shards += 1
        squares = sum(count * count for count in counts.values())
        self.same += squares / max(sum(counts.values()), 1)

    def mixing(self, column: str) -> Mixing:
        records = self.totals.total()
        same = sum(count * count for count in self.totals.values()) / max(records, 1)
        within_and_between = records - same
        share = (self.same - same) / within_and_between if within_and_between else None
        return Mixing(column, share, _expected(self.shards, records))


def find_mixing(dataset: Place, manifest: Manifest, column: str, side: Side = Side.TRAIN) -> Mixing:
    """Say how mixed the shards of a side are, by a column of numbers, times or classes.

    Raises:
        ConfigError: there is no such column, or it has too many classes.
        ContractError: a shard cannot be read.
    """
    moments, kinds = [], set()
    for fields in _read(dataset, manifest, column, side):
        parsed = parse_column(fields)
        if parsed.type is not ColumnType.EMPTY:
            kinds.add(parsed.type)
        if not (kinds <= _NUMBERS or kinds <= {ColumnType.TIMESTAMP}):
            break
        if parsed.numbers is not None:
            numbers = parsed.numbers.astype(np.float64)
            moments.append((len(numbers), numbers.mean(), numbers.var()))
    else:
        return _of_numbers(column, np.array(moments).reshape(-1, 3))
    classes = _Classes()
    for fields in _read(dataset, manifest, column, side):
        classes.add(_count(fields))
        _check_number(column, classes.totals)
    return classes.mixing(column)


def find_shares(dataset: Place, manifest: Manifest, column: str) -> dict[Side, dict[str, int]]:
    """Return the number of records of each value of a column on each side.

    Raises:
        ConfigError: there is no such column, or it has too many different values.
        ContractError: a shard cannot be read.
    """
    shares: dict[Side, dict[str, int]] = {}
    for side in manifest.sides:
        totals = Counter[str]()
        for fields in _read(dataset, manifest, column, side):
            totals.update(_count(fields))
            _check_number(column, totals)
        shares[side] = dict(totals)
    return shares


def _of_numbers(column: str, moments: Any) -> Mixing:
    counts, means, variances = moments.T
    records = int(counts.sum())
    # From a mean, so that what is squared is not larger than need be.
    means = means - means.mean() if len(means) else means
    center = (counts * means).sum() / max(records, 1)
    between = (counts * np.square(means - center)).sum()
    total = between + (counts * variances).sum()
    share = float(between / total) if total else None
    return Mixing(column, share, _expected(len(counts), records))


def _expected(shards: int, records: int) -> float:
    return (shards - 1) / max(records - 1, 1)


def _count(fields: Any) -> dict[str, int]:
    return {item["values"]: item["counts"] for item in fields.value_counts().to_pylist()}


def _check_number(column: str, totals: Counter[str]) -> None:
    if len(totals) > MAX_CLASSES:
        raise ConfigError(
            column,
            expected=f"numbers, times, or at most {MAX_CLASSES:,} different values",
            found="more",
        )


def _read(dataset: Place, manifest: Manifest, column: str, side: Side) -> Iterator[Any]:
    """Yield the fields of a column, a pyarrow.StringArray for each shard, in order."""
    if column not in manifest.header:
        raise no_such_column(column, column, manifest.header)
    read = partial(_read_shard, dataset, manifest, column, side)
    yield from map_numbers(read, len(manifest.sides[side].bytes))


def _read_shard(dataset: Place, manifest: Manifest, column: str, side: Side, number: int) -> Any:
    path = shard_path(dataset, side, number)
    try:
        with open_plain(path) as file:
            # An append may have begun to complete the last one: what it adds does not count yet.
            data = file.read(manifest.sides[side].bytes[number])
        (fields,) = read_text(data, manifest.header, columns=[column], skip_header=True)
    except (OSError, ValueError) as error:
        found = getattr(error, "strerror", None) or str(error)
        raise ContractError(path, found=found, hint="`sharder verify` says more") from None
    return fields
