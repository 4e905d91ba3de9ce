"""The records that a dataset keeps aside, one by one."""

from __future__ import annotations

import csv
import io
import os
from collections.abc import Iterator

from sharder.graph.inspect import Rejected
from sharder.graph.ledger import REASONS_NAME, RECORDS_NAME
from shared.errors import ContractError
from shared.layout import REJECTED_NAME
from shared.place import Place
from shared.reading import open_plain


def read_rejected(dataset: Place) -> Iterator[Rejected]:
    """Yield the rejected records of a dataset that has some, in the order of the sources.

    Raises:
        ContractError: they are not whole.
    """
    directory = dataset / REJECTED_NAME
    try:
        with (
            open_plain(directory / REASONS_NAME) as reasons,
            open_plain(directory / RECORDS_NAME) as records,
        ):
            left = records.seek(0, os.SEEK_END)
            records.seek(0)
            lines = io.TextIOWrapper(reasons, encoding="utf-8", newline="")
            for row in csv.DictReader(lines):
                size = int(row["bytes"])
                if not 0 <= size <= left:
                    raise ValueError(f"the end of {RECORDS_NAME} within a record")
                left -= size
                data = records.read(size)
                yield Rejected(
                    *(row["source"], int(row["record"]), int(row["line"]), int(row["offset"])),
                    *(row["reason"], data),
                )
            if records.read(1):
                raise ValueError(f"more in {RECORDS_NAME} than {REASONS_NAME} tells of")
    except (OSError, ValueError, KeyError, TypeError, csv.Error) as error:
        raise ContractError(
            directory,
            expected="the rejected records",
            found=str(error),
            hint="`sharder verify` proves all of the dataset",
        ) from None
