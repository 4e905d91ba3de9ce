"""Every failure that a user can meet and mend, as one tree.

    ShardfitError               exit status 1, one message, no traceback
    ├── SourceError             the CSV that was given: missing, unreadable, or not a CSV
    │   ├── UnreadableError     it cannot be read now: a failing disk, a lost connection
    │   └── RejectedError       more bad records than --max-rejected allows
    ├── ContractError           a dataset on disk is not what its manifest or the layout says
    ├── TargetError             the place to write to: taken, full, or read-only
    ├── ConfigError             an option or argument that cannot be meant
    ├── ModelError              the model, its code or its numbers: a bad --model, a NaN loss
    └── WorkerError             a process that works for this one is lost, or stuck, again and again

A bug is anything else, and keeps its traceback.
"""

from __future__ import annotations

import difflib
import errno
from collections.abc import Iterable

from shared.printable import list_names, printable


class ShardfitError(Exception):
    """An expected failure: says where, what was expected, what was found, and what to do."""

    def __init__(
        self, where: object, *, expected: str = "", found: str = "", hint: str = ""
    ) -> None:
        """Compose the message.

        Args:
            where: the file, record, column or option at fault.
            expected: what should have been there.
            found: what was there.
            hint: what to do about it.
        """
        facts = ", ".join(
            part
            for part in (expected and f"expected {expected}", found and f"found {found}")
            if part
        )
        message = f"{where}: {facts}" if facts else str(where)
        super().__init__(printable("; ".join(part for part in (message, hint) if part)))
        self.where, self.expected, self.found, self.hint = where, expected, found, hint

    def __reduce__(self) -> tuple[object, ...]:
        # Exceptions with keyword-only arguments do not pickle by themselves, and
        # these must travel home from workers.
        return _rebuild, (type(self), str(self.where), self.expected, self.found, self.hint)


def _rebuild(
    kind: type[ShardfitError], where: str, expected: str, found: str, hint: str
) -> ShardfitError:
    return kind(where, expected=expected, found=found, hint=hint)


class SourceError(ShardfitError):
    """The CSV that was given is missing, unreadable, or not a CSV."""


class UnreadableError(SourceError):
    """The source cannot be read now; it may be once the cause is gone."""


class RejectedError(SourceError):
    """More bad records than the run was told to accept."""


class ContractError(ShardfitError):
    """A dataset on disk is not what its manifest or the layout says."""


class TargetError(ShardfitError):
    """The place to write to is taken, full, or read-only."""


class ConfigError(ShardfitError):
    """An option or argument that cannot be meant."""


def no_such_column(where: str, name: str, columns: Iterable[str]) -> ConfigError:
    """Return the error for an option that names a column which is not there."""
    names = list(columns)
    close = difflib.get_close_matches(name, names, n=1)
    return ConfigError(
        where,
        expected=f"one of the columns {list_names(names)}",
        found="no such column",
        hint=f"is {close[0]!r} meant?" if close else "",
    )


def dataset_in_store(place: object, hint: str) -> ConfigError:
    """Return the error for a dataset in an object store, where only a directory will do."""
    return ConfigError(
        place,
        expected="a dataset in a directory of this machine",
        found="one in a store",
        hint=hint,
    )


def remedy(failure: OSError) -> str:
    """Return what to do about something that the operating system refuses; empty if unknown."""
    if failure.errno in (errno.ENOSPC, errno.EDQUOT):
        return "free some room, then run the same command again"
    if failure.errno in (errno.EMFILE, errno.ENFILE):
        return "allow more with `ulimit -n`, then run the same command again"
    return ""


class ModelError(ShardfitError):
    """The model, its code or its numbers are at fault."""


class WorkerError(ShardfitError):
    """A process that works for this one is lost, or stuck, again and again."""
