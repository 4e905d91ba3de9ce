"""The feature file, written: what became of each column, for a person to read and to edit."""

from __future__ import annotations

import textwrap
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any

import msgspec
import tomlkit
from tomlkit.items import Array, Table

from shared.durable import write_whole
from shared.errors import TargetError
from shared.schema import Column, ColumnType
from trainer.derive.edits import DROP
from trainer.features.spec import Feature, FeatureSpec

_WIDTH = 100
_HEAD = """\
What the columns became, to predict {label}. This is a record: edit a copy, and give it to

    trainer fit DATASET --label … --out … --features COPY

A column that the copy leaves out, or a key, is derived from the dataset. To change an encoding,
remove the keys of the other one.

encoding      for         other keys
"standard"    numbers     mean, std: (number - mean) / std
"log"         numbers     unit, mean, std: the same of sign(number) * log(1 + |number| / unit)
"quantile"    numbers     quantiles: mapped to those of a normal distribution, linear in between
"timestamp"   times       cyclical: time of day, day of week, day of year, as points on circles;
                          trend: -1 at the start, 1 at the end
"vocabulary"  few values  values; all others count as one
"hashed"      any values  bins: how many different hashes
"text"        sentences   bins, tokens: how many of the first words count
"drop"                    the column is left out

fill          stands for a missing number; a missing time is all zeros
indicator     whether one more feature tells what is missing
embedding     how many learned numbers stand for a value or word in the default model
"""


def render_features(spec: FeatureSpec, columns: Sequence[Column]) -> str:
    """Return a spec as TOML, with what the profile says of each column in comments.

    Read again, with the same dataset, it gives the same features.
    """
    document = tomlkit.document()
    for line in _HEAD.format(label=repr(spec.label.column)).splitlines():
        document.add(tomlkit.comment(line))
    features = {feature.column: feature for feature in spec.features}
    tables = tomlkit.table(is_super_table=True)
    for column in columns:
        feature = features.get(column.name)
        if feature is not None:
            tables.add(column.name, _table(column, feature))
        elif column.name in spec.left_out:
            tables.add(column.name, _dropped(column, spec.left_out[column.name]))
    document.add("columns", tables)
    return tomlkit.dumps(document)


def save_features(spec: FeatureSpec, columns: Sequence[Column], path: Path) -> None:
    """Write a spec as TOML, whole or not at all.

    Raises:
        TargetError: the file cannot be written.
    """
    try:
        write_whole(path, render_features(spec, columns).encode())
    except OSError as error:
        raise TargetError(
            path,
            expected="to write the features",
            found=error.strerror or str(error),
            hint="see to it, then run the same command again",
        ) from None


def _table(column: Column, feature: Feature) -> Table:
    table = tomlkit.table()
    table.add(tomlkit.comment(_describe(column)))
    values = msgspec.structs.asdict(feature)
    del values["column"]
    table.add("encoding", str(feature.__struct_config__.tag))
    for key, value in values.items():
        table.add(key, _array(value) if isinstance(value, tuple) else value)
    return table


def _dropped(column: Column, reason: str) -> Table:
    table = tomlkit.table()
    table.add(tomlkit.comment(_describe(column)))
    table.add(tomlkit.comment(f"left out: {reason}"))
    table.add("encoding", DROP)
    return table


def _describe(column: Column) -> str:
    """Return what the profile says of a column, in a line."""
    about = "" if column.distinct_exact else "about "
    facts = [f"{about}{column.distinct:,} different values", f"{column.missing:,} missing"]
    if column.type is ColumnType.TEXT:
        # As in Python: a text may have anything in it, a comment not.
        shown = [textwrap.shorten(repr(top.value), 40) for top in column.top[:3]]
        facts += [f"such as {', '.join(shown)}"] * bool(shown)
    elif column.type is not ColumnType.EMPTY:
        facts.insert(0, f"{column.minimum} to {column.maximum}")
    return f"{column.type}; {'; '.join(facts)}"


def _array(values: Iterable[Any]) -> Array:
    """Return an array in lines of a width that a person can read."""
    array = tomlkit.array()
    line: list[Any] = []
    width = 0
    for value in values:
        size = len(tomlkit.item(value).as_string()) + 2
        if line and width + size > _WIDTH - 4:
            array.add_line(*line)
            line, width = [], 0
        line.append(value)
        width += size
    array.add_line(*line)
    array.add_line(indent="")
    return array
