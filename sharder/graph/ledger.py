"""Chain 3: the ledger of a run. Every record read is in a shard or in `rejected/`, counted."""

from __future__ import annotations

import csv
import io
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path

from sharder.graph.assign import Block
from sharder.graph.inspect import Records, Rejected
from sharder.graph.write import open_again
from sharder.sides.census import Census
from shared.errors import RejectedError
from shared.layout import REJECTED_NAME
from shared.manifest import File
from shared.manifest_file import measure

REASONS_NAME = "reasons.csv"
RECORDS_NAME = "records.csv"

_INDEX_HEADER = ("source", "record", "line", "offset", "bytes", "reason")

# How many of the rejected records an error shows.
_SHOWN = 3


@dataclass(kw_only=True)
class Ledger:
    """What the blocks so far have brought, in their order.

    Rejected records go to `rejected/records.csv`, verbatim, without a header, and what is wrong
    with each to the same line of `rejected/reasons.csv`.

    Attributes:
        directory: `rejected/`, made with the first rejected record.
        max_rejected: share of rejected records above which the run fails.
        bytes_left: of all sources, without their headers; None if it is not known.
        min_record_bytes: the fewest that a good record can have.
        records: number of records so far.
        rejected: number of those that were rejected.
        shown: the first of them, for the error.
        file_bytes: size of each file in `directory`.
        dropped: number of records that cleaning has dropped.
        census: of the others.
    """

    directory: Path
    max_rejected: float
    bytes_left: int | None
    min_record_bytes: int
    records: int = 0
    rejected: int = 0
    shown: list[Rejected] = field(default_factory=list)
    file_bytes: dict[str, int] = field(default_factory=dict)
    dropped: int = 0
    census: Census = field(default_factory=Census)

    @classmethod
    def begin(
        cls, header: Sequence[str], dataset: Path, *, data_bytes: int | None, max_rejected: float
    ) -> Ledger:
        """Begin with no record.

        Args:
            header: names of the sources' columns.
            dataset: directory to write to.
            data_bytes: size of all sources without their headers; None if it is not known.
            max_rejected: share of rejected records above which the run fails.
        """
        return cls(
            directory=dataset / REJECTED_NAME,
            max_rejected=max_rejected,
            bytes_left=data_bytes,
            # Its delimiters and a line end.
            min_record_bytes=max(len(header), 2),
        )

    def add(self, records: Records, block: Block) -> Ledger:
        """Take a block's records into account.

        Raises:
            RejectedError: so many are rejected that the rest of the source cannot make up for it.
        """
        self.records += records.n_read
        self.dropped += records.dropped
        self.census.add(block.census)
        if self.bytes_left is not None:
            self.bytes_left -= records.text_bytes
        if records.rejected:
            self.rejected += len(records.rejected)
            self.shown += records.rejected[: _SHOWN - len(self.shown)]
            self._write(records.rejected)
            if self.bytes_left is not None:
                at_most = self.records + max(self.bytes_left, 0) // self.min_record_bytes
                self._check(at_most, "at least " if at_most > self.records else "")
        return self

    def close(self) -> None:
        """Note that all records were added.

        Raises:
            RejectedError: more records are rejected than allowed.
        """
        self._check(self.records, "")

    def measure(self) -> dict[str, File]:
        """Return size and checksum of each file in `directory`."""
        return {name: measure(self.directory / name) for name in sorted(self.file_bytes)}

    def _check(self, records: int, about: str) -> None:
        if self.rejected <= self.max_rejected * records:
            return
        first = "".join(
            f"\n  {bad.source}: record {bad.record} (line {bad.line}, byte {bad.offset}): "
            f"{bad.reason}"
            for bad in self.shown
        )
        raise RejectedError(
            "bad records",
            expected=f"at most {self.max_rejected:.4%} (--max-rejected)",
            found=f"{about}{self.rejected:,} of {records:,}; the first are{first}\n",
            hint="correct the source, or raise --max-rejected to keep them aside in rejected/",
        )

    def _write(self, rejected: Sequence[Rejected]) -> None:
        self.directory.mkdir(exist_ok=True)
        rows = io.StringIO(newline="")
        writer = csv.writer(rows, lineterminator="\n")
        if REASONS_NAME not in self.file_bytes:
            writer.writerow(_INDEX_HEADER)
        writer.writerows(
            (r.source, r.record, r.line, r.offset, len(r.data), r.reason) for r in rejected
        )
        self._append(REASONS_NAME, rows.getvalue().encode())
        self._append(RECORDS_NAME, b"".join(r.data for r in rejected))

    def _append(self, name: str, data: bytes) -> None:
        # Not at the end of the file: a task that a cluster runs again shall add nothing twice.
        with open_again(self.directory / name) as file:
            file.seek(self.file_bytes.get(name, 0))
            file.write(data)
            self.file_bytes[name] = file.tell()
