"""The feature file, read: what a person says of some columns, in TOML, and what is wrong with it.

    [columns.power]
    encoding = "log"

    [columns.quest_id]
    bins = 4096

A column that is not there, and a key that is left out, are derived from the profile; so is the
encoding of a column that is there without one, also where it looks like an identifier. The keys
are the encodings of `trainer.features.spec`, and their parameters.
"""

from __future__ import annotations

import math
import re
import tomllib
from collections import Counter
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import msgspec

from shared.errors import ConfigError
from shared.printable import shorten
from trainer.features.spec import (
    Feature,
    Hashed,
    Log,
    Quantile,
    Standard,
    Text,
    Timestamp,
    Vocabulary,
)

ENCODINGS: dict[str, type[Feature]] = {
    "standard": Standard,
    "log": Log,
    "quantile": Quantile,
    "timestamp": Timestamp,
    "vocabulary": Vocabulary,
    "hashed": Hashed,
    "text": Text,
}
# Says that a column is no feature; its other keys then do not matter, so that it can be taken back.
DROP = "drop"


class Edits:
    """What a file says of columns; by default nothing."""

    def __init__(
        self, path: Path | None = None, tables: Mapping[str, Mapping[str, Any]] | None = None
    ) -> None:
        """Take the tables of a file, one for each column, with a known encoding or none."""
        self._path = path
        self._tables = tables or {}

    def __iter__(self) -> Iterator[str]:
        """Yield the names of the columns that are there."""
        return iter(self._tables)

    def __contains__(self, column: str) -> bool:
        return column in self._tables

    def where(self, column: str, key: str = "") -> str:
        """Return a place in the file, for messages."""
        return f"{self._path}, column {column!r}" + (f", key {key!r}" if key else "")

    def encoding(self, column: str) -> str | None:
        """Return the encoding of a column, if the file says one."""
        return self._tables.get(column, {}).get("encoding")

    def keys(self, column: str) -> set[str]:
        """Return all that the file says of a column, by name."""
        return set(self._tables.get(column, ()))

    def parameters(self, column: str, encoding: str) -> dict[str, Any]:
        """Return the parameters that the file gives for the encoding of a column.

        Raises:
            ConfigError: one that the encoding does not have, or a value that cannot be meant.
        """
        types = _parameter_types(encoding)
        found = {}
        for key, value in self._tables.get(column, {}).items():
            if key == "encoding":
                continue
            if key not in types:
                others = [name for name in ENCODINGS if key in _parameter_types(name)]
                raise ConfigError(
                    self.where(column, key),
                    expected=f"one of the keys of encoding {encoding!r}, {', '.join(types)}",
                    found="one of " + " and ".join(others) if others else "no key of any encoding",
                    hint="remove it: what is left out is derived from the profile",
                )
            found[key] = self._convert(column, key, value, types[key])
        return found

    def _convert(self, column: str, key: str, value: Any, type_: Any) -> Any:
        try:
            converted = msgspec.convert(value, type_)
        except msgspec.ValidationError as error:
            # Such as: Expected `float`, got `str` - at `$[1]`
            message = re.sub(r"^Expected |`|, got .*| - at .*", "", str(error))
            raise self._fault(column, key, message, shorten(value)) from None
        numbers = converted if isinstance(converted, tuple) else (converted,)
        if any(isinstance(n, float) and not math.isfinite(n) for n in numbers):
            raise self._fault(column, key, "finite numbers", shorten(value))
        return converted

    def check(self, feature: Feature) -> None:
        """Refuse parameters that do not go together.

        Raises:
            ConfigError: they do not.
        """
        if feature.column not in self._tables:
            return
        if isinstance(feature, Quantile):
            ascending = sorted(feature.quantiles)
            if ascending != list(feature.quantiles) or ascending[0] == ascending[-1]:
                found = shorten(list(feature.quantiles))
                raise self._fault(feature.column, "quantiles", "numbers in ascending order", found)
        elif isinstance(feature, Vocabulary):
            value, times = Counter(feature.values).most_common(1)[0]
            if times > 1:
                found = f"{value!r} more than once"
                raise self._fault(feature.column, "values", "different values", found)
        elif isinstance(feature, Timestamp):
            if feature.end < feature.start:
                expected = f"a time not before the start, {feature.start}"
                raise self._fault(feature.column, "end", expected, str(feature.end))
            if not (feature.cyclical or feature.trend or feature.indicator):
                expected = f"cyclical, trend or indicator, or encoding = {DROP!r}"
                raise self._fault(feature.column, "cyclical", expected, "none of them")

    def _fault(self, column: str, key: str, expected: str, found: str) -> ConfigError:
        return ConfigError(self.where(column, key), expected=expected, found=found)


def load_edits(path: Path) -> Edits:
    """Read a feature file.

    Raises:
        ConfigError: it cannot be read, is no TOML, or has something else in it than columns and
            known encodings.
    """
    try:
        found = tomllib.loads(path.read_bytes().decode())
    except OSError as error:
        raise ConfigError(
            path, expected="a feature file", found=error.strerror or str(error)
        ) from None
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
        raise ConfigError(path, expected="TOML in UTF-8", found=str(error)) from None
    tables = found.get("columns", {})
    if other := sorted(found.keys() - {"columns"}):
        raise ConfigError(f"{path}, key {other[0]!r}", expected="only tables [columns.NAME]")
    edits = Edits(path, tables if isinstance(tables, dict) else {})
    for column, table in tables.items() if isinstance(tables, dict) else [("", tables)]:
        if not isinstance(table, dict):
            raise ConfigError(
                edits.where(column),
                expected=f"a table [columns.{column or 'NAME'}]",
                found=shorten(table),
            )
        encoding = table.get("encoding", DROP)
        if encoding not in (DROP, *ENCODINGS):
            raise ConfigError(
                edits.where(column, "encoding"),
                expected=f"one of {', '.join((*ENCODINGS, DROP))}",
                found=shorten(encoding),
            )
        for key, value in table.items():
            if isinstance(value, dict):
                raise ConfigError(
                    edits.where(column, key),
                    expected="a value",
                    found="a table",
                    hint=f'a name with a dot needs quotes: [columns."{column}.{key}"]',
                )
    return edits


def _parameter_types(encoding: str) -> dict[str, Any]:
    fields = msgspec.structs.fields(ENCODINGS[encoding])
    return {field.name: field.type for field in fields if field.name != "column"}
