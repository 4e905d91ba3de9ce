"""The records that a dataset keeps aside, one by one."""

from __future__ import annotations

import csv
from collections.abc import Iterator
from pathlib import Path

from sharder.inspect import Rejected
from sharder.ledger import REASONS_NAME, RECORDS_NAME
from sharder.verify import require_manifest
from shared.errors import ContractError
from shared.layout import REJECTED_NAME


def read_rejected(dataset: Path) -> Iterator[Rejected]:
    """Yield the rejected records of a dataset, in the order of the sources.

    Raises:
        ContractError: there is no dataset, or its rejected records are not whole.
    """
    manifest = require_manifest(dataset)
    if not manifest.rejected:
        return
    directory = dataset / REJECTED_NAME
    try:
        with (
            (directory / REASONS_NAME).open(newline="", encoding="utf-8") as reasons,
            (directory / RECORDS_NAME).open("rb") as records,
        ):
            for row in csv.DictReader(reasons):
                size = int(row["bytes"])
                data = records.read(size)
                if len(data) < size:
                    raise ValueError(f"the end of {RECORDS_NAME} within a record")
                yield Rejected(
                    *(row["source"], int(row["record"]), int(row["line"]), int(row["offset"])),
                    *(row["reason"], data),
                )
    except (OSError, ValueError, KeyError, TypeError, csv.Error) as error:
        raise ContractError(
            directory,
            expected="the rejected records",
            found=str(error),
            hint="`sharder verify` proves all of the dataset",
        ) from None
