"""A look at the records of some bytes of a source, for what was perhaps not meant as it reads."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from sharder.config import SplitConfig
from sharder.graph.inspect import Records, cut, inspect
from sharder.records.align import Alignment, align
from sharder.records.lines import find, line_ends
from sharder.records.scan import Scan
from sharder.records.structure import State, one_by_one
from sharder.sources.source import Source
from shared.dialect import PLAIN

# Of a record with fewer columns, prose may have the delimiters by chance.
_FEW_COLUMNS = 5


@dataclass(kw_only=True)
class Suspicion:
    """Records that read as the dialect says, but perhaps not as they were meant.

    Attributes:
        count: number of them.
        example: one of them.
    """

    count: int = 0
    example: bytes = b""

    def add(self, records: Sequence[bytes]) -> None:
        """Add some records."""
        self.count += len(records)
        self.example = self.example or next(iter(records), b"")


@dataclass(frozen=True)
class Look:
    """The records of some bytes of a source that begin, perhaps, with a record.

    Attributes:
        piece: the bytes.
        aligned: where their records end.
        records: what they are.
    """

    piece: Scan
    aligned: Alignment
    records: Records

    @classmethod
    def at(
        cls,
        piece: Scan,
        before: Alignment,
        source: Source,
        header: Sequence[str],
        config: SplitConfig,
    ) -> Look:
        """Look at a piece from the state before it.

        Raises:
            SourceError: a record has no end.
        """
        of_source: dict[str, Any] = {"source": source.name, "encoding": source.encoding}
        of_source["max_record_bytes"] = config.max_record_bytes
        own = align(piece, before, **of_source)
        records = inspect(
            piece, before, own, **of_source, header=header, cleaner=None, split=config.split
        )
        return cls(piece, own, records)

    @property
    def n_good(self) -> int:
        """Number of records that are not rejected."""
        return int(np.count_nonzero(self.records.good))

    def good_records(self) -> bytes:
        """Return the records that are not rejected, as they would be in shards."""
        records, good = self.records, self.records.good
        return b"".join(cut(records.data, records.starts[good], records.ends[good]))

    def find_stray(self) -> list[bytes]:
        """Return the records with quotes that are characters like others."""
        if self.aligned.trusted or not len(self.aligned.ends):
            return []
        data, dialect = self.piece.data[: self.aligned.ends[-1]], self.piece.dialect
        structure = one_by_one(data, State(), dialect)
        stray = np.setdiff1d(find(structure.text, dialect.quote_byte), structure.quotes)
        return self._records_at(stray)

    def find_nulls(self) -> list[bytes]:
        """Return the records with a field that is an escaped N and nothing else."""
        dialect, data = self.piece.dialect, self.piece.data
        if dialect.escape is None:
            return []
        around = re.escape(f"{dialect.delimiter}\r\n")
        null = re.compile(rf"(?<![^{around}]){re.escape(dialect.escape)}N(?=[{around}])".encode())
        return self._records_at([match.start() for match in null.finditer(data)])

    def _records_at(self, positions: npt.ArrayLike) -> list[bytes]:
        """Return the records, as they are in the source, that have these positions."""
        ends = self.aligned.ends
        records = np.unique(np.searchsorted(ends, positions, side="right"))
        starts = np.concatenate([[0], ends])
        return [self.piece.data[starts[r] : ends[r]] for r in records if r < len(ends)]

    def find_swallowed(self, n_columns: int) -> list[bytes]:
        """Return the records with a quoted field of which a line has the delimiters of a record."""
        if n_columns < _FEW_COLUMNS:
            return []
        data, starts, ends = self.records.data, self.records.starts, self.records.ends
        lines = line_ends(data, last=True)
        n_lines = np.searchsorted(lines, ends) - np.searchsorted(lines, starts, side="right") + 1
        delimiter = self.piece.dialect.delimiter
        found = []
        for record in np.flatnonzero(n_lines > 1).tolist():
            text = data[starts[record] : ends[record]]
            fields = (field for row in PLAIN.read(text.decode(errors="replace")) for field in row)
            lines_of_fields = (line for field in fields for line in field.splitlines())
            if any(line.count(delimiter) == n_columns - 1 for line in lines_of_fields):
                found.append(text)
        return found
