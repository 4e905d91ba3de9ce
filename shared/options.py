"""What the options of both command lines are made of."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import click

from shared.place import ObjectPath, parse_place


class Bytes(click.ParamType[int]):
    """A number of bytes: 65536, 64KiB, 8MiB or 1GiB."""

    name = "bytes"
    _units = (("KiB", 1 << 10), ("MiB", 1 << 20), ("GiB", 1 << 30), ("", 1))

    def convert(self, value: Any, param: Any, ctx: Any) -> int:
        """Read an option's value."""
        text = str(value)
        suffix, unit = next(unit for unit in self._units if text.endswith(unit[0]))
        number = text.removesuffix(suffix)
        if not number.isdecimal():
            self.fail(f"{text!r} is not a size such as 65536, 64KiB or 8MiB", param, ctx)
        return int(number) * unit


class AutoOr(click.ParamType[Any]):
    """What another type takes, or `auto`, which becomes None: the program chooses."""

    name = "auto"

    def __init__(self, other: click.ParamType[Any]) -> None:
        """Take `auto`, or what `other` takes."""
        self._other = other

    def convert(self, value: Any, param: Any, ctx: Any) -> Any:
        """Read an option's value."""
        try:
            return None if value == "auto" else self._other.convert(value, param, ctx)
        except click.BadParameter:
            self.fail(f"{value!r} is neither auto nor of type {self._other.name}", param, ctx)


class _Character(click.ParamType[str]):
    """A character, or a name for it."""

    name = "char"

    def __init__(self, names: dict[str, str | None]) -> None:
        self._names = names

    def convert(self, value: Any, param: Any, ctx: Any) -> Any:  # noqa: ARG002
        """Read an option's value."""
        return self._names.get(value, value)


DELIMITER = _Character({"tab": "\t", "\\t": "\t"})
CHARACTER_OR_NONE = _Character({"none": None})


class OutPath(click.Path):
    """A place to write to; an empty one, as an unset variable leaves it, is not meant as `.`."""

    def __init__(self) -> None:
        """Take any path."""
        super().__init__(path_type=Path)

    def convert(self, value: Any, param: Any, ctx: Any) -> Any:
        """Return the path."""
        if not str(value):
            self.fail("the path is empty: is a shell variable not set?", param, ctx)
        if "://" in str(value):
            self.fail(f"{value} is in a store: give a directory of this machine", param, ctx)
        return super().convert(value, param, ctx)


class PlacePath(OutPath):
    """The place of a dataset: a path, or a URL with a bucket, or what a store has instead."""

    name = "place"

    def convert(self, value: Any, param: Any, ctx: Any) -> Any:
        """Return the path, or the prefix in a store."""
        text = str(value).removeprefix("file://")
        if "://" in text and not text.partition("://")[2].partition("/")[0]:
            self.fail(f"{text} names no bucket: is a shell variable not set?", param, ctx)
        place = parse_place(text)
        return place if isinstance(place, ObjectPath) else super().convert(text, param, ctx)
