"""Numbers of bytes, as options take them."""

from __future__ import annotations

from typing import Any

import click


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
