"""The place of a file, or of a directory, that is to be written: free, or to be replaced."""

from __future__ import annotations

import contextlib
import os
from collections.abc import Callable, Iterator
from pathlib import Path

from shared.durable import refuse_link
from shared.errors import TargetError
from shared.lock import hold


def check_free(
    out: Path, *, overwrite: bool, is_such: Callable[[Path], bool] = Path.is_file
) -> None:
    """Refuse to replace something untold, and anything of another kind at all.

    Args:
        out: the place.
        overwrite: whether what is there may be replaced.
        is_such: tells whether what is there is of the kind that is to be written.

    Raises:
        TargetError: there is something that must not be replaced.
    """
    if not os.path.lexists(out):
        return
    if out.is_symlink() or not is_such(out):
        raise TargetError(
            out,
            expected="nothing, or what an earlier run wrote",
            found="something else of this name",
            hint="give another --out",
        )
    if not overwrite:
        raise TargetError(
            out,
            expected="nothing",
            found="what an earlier run wrote",
            hint="give another --out, or --overwrite",
        )


@contextlib.contextmanager
def workshop(out: Path) -> Iterator[Path]:
    """Hold the hidden directory beside a place, in which what it is to get is made, and give it.

    Raises:
        TargetError: another process holds it, it is a link, or it cannot be written to.
    """
    partial = out.with_name(f".{out.name}.partial")
    refuse_link(partial)
    with hold(partial):
        yield partial
