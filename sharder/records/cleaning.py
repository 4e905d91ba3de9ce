"""`--clean MODULE:FUNCTION`: the user's own function, from the records of a block to better ones.

It gets a pandas DataFrame of texts, exactly as they are spelled (an empty field is an empty text),
whose index is the number of each record, and returns one. Rows that are missing there are dropped,
columns may be added, changed and dropped. What it returns is written anew, as plain CSV.

A block is no unit of the data. So the function is tried on the first records, once on all of them
and once one by one: it must say the same.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt

from sharder.records.plain import write_plain
from shared.errors import ConfigError
from shared.manifest import Cleaning
from shared.user_code import UserCode, load_function

if TYPE_CHECKING:
    import pandas as pd

# Records that it is tried on.
TRIED = 50


@dataclass(frozen=True)
class Cleaner:
    """The user's function.

    Attributes:
        user_code: the function, from a DataFrame to a DataFrame.
        code: what the manifest says of it.
        columns: of the sources.
        header: of what it returns; empty as long as that is not known.
    """

    user_code: UserCode
    code: Cleaning
    columns: tuple[str, ...]
    header: tuple[str, ...] = ()

    @property
    def where(self) -> str:
        """What errors are at."""
        return f"--clean {self.code.function}"

    def clean(
        self, data: bytes, numbers: npt.NDArray[np.uint64]
    ) -> tuple[list[bytes], npt.NDArray[np.int64]]:
        """Clean some records.

        Args:
            data: the records, plain CSV.
            numbers: (R,) number of each.

        Returns:
            The cleaned ones, and which each of them was, (K,) indexes into the records.

        Raises:
            ConfigError: the function fails, or what it returns cannot be written.
        """
        table = self._call(self._frame(data, numbers))
        kept = np.searchsorted(numbers, table.index.to_numpy().astype(np.uint64))
        return self._write(table), kept

    def tried(self, data: bytes) -> Cleaner:
        """Return the cleaner with the header that it makes of the first records.

        Raises:
            ConfigError: the function fails, or a record's result depends on the others.
        """
        frame = self._frame(data, np.arange(data.count(b"\n") + 1, dtype=np.uint64))
        table = self._call(frame)
        header = tuple(map(str, table.columns))
        if not header or len(set(header)) != len(header):
            raise ConfigError(self.where, expected="columns of different names", found=str(header))
        found = replace(self, header=header)
        one_by_one = [
            line
            for row in range(len(frame))
            for line in found._write(found._call(frame[row : row + 1]))
        ]
        if one_by_one != found._write(table):
            raise ConfigError(
                self.where,
                expected="the same result for each record, whatever others are beside it",
                found="another result for some of the first records when they are alone",
                hint="blocks are of any size: take means and the like from elsewhere",
            )
        return found

    def _frame(self, data: bytes, numbers: npt.NDArray[np.uint64]) -> pd.DataFrame:
        import pandas as pd

        from shared.values import read_text

        fields: list[Any] = [[] for _ in self.columns]
        if data:
            fields = [column.to_pylist() for column in read_text(data, self.columns)]
        index = pd.Index(numbers[: len(fields[0])].astype(np.int64), name="record")
        return pd.DataFrame(dict(zip(self.columns, fields, strict=True)), index=index, dtype=str)

    def _call(self, frame: pd.DataFrame) -> pd.DataFrame:
        import pandas as pd

        first = f" at the records from {int(frame.index[0]) + 1:,} on" if len(frame) else ""
        try:
            table = self.user_code.function(frame.copy())
        except Exception as error:
            raise ConfigError(
                f"{self.where}{first}", expected="a DataFrame", found=self.user_code.explain(error)
            ) from error
        if not isinstance(table, pd.DataFrame):
            raise ConfigError(
                f"{self.where}{first}", expected="a DataFrame", found=type(table).__name__
            )
        if self.header and tuple(map(str, table.columns)) != self.header:
            raise ConfigError(
                f"{self.where}{first}",
                expected=f"the columns {', '.join(self.header)}, as of the first records",
                found=", ".join(map(str, table.columns)),
            )
        rows = frame.index.get_indexer(table.index)
        if len(rows) and (rows.min() < 0 or (np.diff(rows) <= 0).any()):
            raise ConfigError(
                f"{self.where}{first}",
                expected="rows with the index that they had, in the same order",
                found="another index",
                hint="filter and assign, but do not sort, concatenate or reset the index",
            )
        return table

    def _write(self, table: pd.DataFrame) -> list[bytes]:
        """Return each row as a record of plain CSV, with its line end."""
        import pyarrow as pa

        try:
            columns = [
                pa.Array.from_pandas(table.iloc[:, at]).cast(pa.string()).fill_null("").to_pylist()
                for at in range(table.shape[1])
            ]
        except pa.ArrowException as error:
            raise ConfigError(
                self.where, expected="columns of one type each", found=str(error)
            ) from None
        return [write_plain(row) + b"\n" for row in zip(*columns, strict=True)]


def load_cleaner(reference: str, columns: Sequence[str]) -> Cleaner:
    """Import the function that `MODULE:FUNCTION` names, from the current directory too.

    Raises:
        ConfigError: there is none, or its module fails.
    """
    user_code = load_function(reference, "--clean")
    code = Cleaning(function=reference, xxh3_128=user_code.digest)
    return Cleaner(user_code, code, tuple(columns))
