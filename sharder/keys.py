"""What the rule of the split looks at of each record, beside its number."""

from __future__ import annotations

from typing import Any

from sharder.groups import Groups
from sharder.strata import Classes
from shared.manifest import Split

Keys = Groups | Classes | None


def read_keys(split: Split, fields: Any) -> Keys:
    """Return the keys of some records.

    Args:
        split: the rule.
        fields: (R,) pyarrow.StringArray, those of the rule's column.
    """
    return Groups.of(fields, split.seed) if split.by == "group" else Classes.of(fields)
