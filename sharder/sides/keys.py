"""What the rule of the split looks at of each record, beside its number."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np

from sharder.sides.groups import Groups
from sharder.sides.strata import Classes
from sharder.sides.times import Times, describe_unreadable, kind_of, read_times
from shared.manifest import Split


@dataclass(frozen=True)
class Fields:
    """The fields of a column, (R,) pyarrow.StringArray, of times that nobody can read yet."""

    text: Any


Keys = Groups | Classes | Times | Fields | None


def read_keys(split: Split, fields: Any) -> tuple[Keys, dict[int, str]]:
    """Return the keys of some records.

    Args:
        split: the rule.
        fields: (R,) pyarrow.StringArray, those of the rule's column.

    Returns:
        The keys, and of which records they cannot be read and why; the keys lack those.
    """
    if split.by == "group":
        return Groups.of(fields, split.seed), {}
    if split.by == "class":
        return Classes.of(fields), {}
    if (kind := kind_of(split)) is None:
        return Fields(fields), {}
    values, readable = read_times(fields, kind)
    bad = np.flatnonzero(~readable).tolist()
    reasons = {at: describe_unreadable(str(split.column), fields[at].as_py(), kind) for at in bad}
    return Times(values[readable]), reasons
