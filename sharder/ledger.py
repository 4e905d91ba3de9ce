"""Chain 3: the ledger of a run. Every record read is in a shard or in `rejected/`, counted."""

from __future__ import annotations

import csv
from collections.abc import Sequence
from pathlib import Path

from sharder.inspect import Block, Rejected
from shared.errors import RejectedError
from shared.layout import REJECTED_NAME
from shared.manifest import spell_path

REASONS_NAME = "reasons.csv"
RECORDS_NAME = "records.csv"

_INDEX_HEADER = ("source", "record", "line", "offset", "bytes", "reason")

# How many of the rejected records an error shows.
_SHOWN = 3


class Ledger:
    """What the blocks so far have brought, in their order.

    Rejected records go to `rejected/records.csv`, verbatim, without a header, and what is wrong
    with each to the same line of `rejected/reasons.csv`.
    """

    def __init__(
        self, header: Sequence[str], dataset: Path, *, data_bytes: int | None, max_rejected: float
    ) -> None:
        """Begin with no record.

        Args:
            header: names of the columns.
            dataset: directory to write to.
            data_bytes: size of all sources without their headers; None if it is not known.
            max_rejected: share of rejected records above which the run fails.
        """
        self._directory = dataset / REJECTED_NAME
        self._max_rejected = max_rejected
        self._bytes_left = data_bytes
        # The fewest bytes that a good record can have: its delimiters and a line end.
        self._min_record_bytes = max(len(header), 2)
        self._shown: list[Rejected] = []
        self.records = 0
        self.rejected = 0

    def add(self, block: Block) -> Ledger:
        """Take a block's records into account.

        Raises:
            RejectedError: so many are rejected that the rest of the source cannot make up for it.
        """
        self.records += len(block.starts)
        if self._bytes_left is not None:
            self._bytes_left -= len(block.data)
        if block.rejected:
            self.rejected += len(block.rejected)
            self._shown += block.rejected[: _SHOWN - len(self._shown)]
            self._write(block.rejected)
            if self._bytes_left is not None:
                at_most = self.records + max(self._bytes_left, 0) // self._min_record_bytes
                self._check(at_most, "at least ")
        return self

    def close(self) -> None:
        """Note that all records were added.

        Raises:
            RejectedError: more records are rejected than allowed.
        """
        self._check(self.records, "")

    def _check(self, records: int, about: str) -> None:
        if self.rejected <= self._max_rejected * records:
            return
        first = "".join(
            f"\n  {bad.source}: record {bad.record} (line {bad.line}, byte {bad.offset}): "
            f"{bad.reason}"
            for bad in self._shown
        )
        raise RejectedError(
            "bad records",
            expected=f"at most {self._max_rejected:.4%} (--max-rejected)",
            found=f"{about}{self.rejected:,} of {records:,}; the first are{first}\n",
            hint="correct the source, or raise --max-rejected to keep them aside in rejected/",
        )

    def _write(self, rejected: Sequence[Rejected]) -> None:
        self._directory.mkdir(exist_ok=True)
        index = self._directory / REASONS_NAME
        is_new = not index.exists()
        with index.open("a", newline="", encoding="utf-8") as file:
            writer = csv.writer(file, lineterminator="\n")
            if is_new:
                writer.writerow(_INDEX_HEADER)
            writer.writerows(
                (spell_path(r.source), r.record, r.line, r.offset, len(r.data), r.reason)
                for r in rejected
            )
        with (self._directory / RECORDS_NAME).open("ab") as file:
            file.writelines(r.data for r in rejected)
