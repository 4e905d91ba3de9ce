"""From a raw CSV to tables of predictions, in memory that does not grow.

    source ──> pieces of 1024 records ──> encoder ──> core model ──> tables of 65,536 rows

Where a piece or a table ends depends on the records and the model alone, so tables can be made
again from the end of any of them on, bit by bit.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import pyarrow as pa

from shared.dialect import PLAIN, Dialect
from shared.errors import ConfigError, ContractError, SourceError
from trainer.features.label import LabelSpec
from trainer.features.read import column_types, count_text_bytes, parse_numbers
from trainer.features.spec import FeatureSpec
from trainer.features.transform import make_encoder
from trainer.predicting.stream import check_header, stream_pieces
from trainer.shards.batches import default_batch

# Records that go through the model at a time, or fewer of a wide table. Always as many, the last
# ones filled up, since TensorFlow traces anew for each other number.
_PIECE_RECORDS = 1024
# A piece has fewer if their text is longer than that: a record can have megabytes.
_PIECE_BYTES = 4 << 20
# Half a second of work, and a row group of Parquet.
_TABLE_ROWS = 1 << 16
_TABLE_BYTES = 32 << 20

Model = Any  # a keras.Model, which is not imported until the source is found to be one


class Predictor:
    """Tells what a core model says of the records of a CSV.

    Attributes:
        model: the core model, to be set before tables are asked for.
        schema: of the tables: the columns that are kept, as text; then, for a binary task
            `probability`, of the positive class; for several classes one for each, and
            `prediction`, the likeliest; for a regression `prediction`.
    """

    def __init__(
        self, source: Path, spec: FeatureSpec, keep: Sequence[str], dialect: Dialect = PLAIN
    ) -> None:
        """Look at the header of the source.

        Args:
            source: the file.
            spec: what the model takes and gives.
            keep: names of columns to keep.
            dialect: of the source.

        Raises:
            SourceError: there is no such file, or it lacks a column.
            ConfigError: a column that is to be kept has the name of a prediction.
        """
        self.model: Model = None
        self._source = source
        self._dialect = dialect
        self._label = spec.label
        self._encoder = make_encoder(spec)
        self._records = default_batch(_PIECE_RECORDS, spec.record_bytes)
        self._keep = list(keep)
        types = column_types(spec, label=False)
        # A column is read once: what is kept as text and is a number for the model is parsed later.
        self._numbers = {
            name: types[name] for name in keep if types.get(name, pa.string()) != pa.string()
        }
        self._types = types | dict.fromkeys(keep, pa.string())
        check_header(source, self._types, dialect)
        predicted = _fields(spec.label)
        for name, _ in predicted:
            if name in keep:
                raise ConfigError(
                    f"--keep {name}",
                    expected="another name than those of the predictions",
                    found="one of " + ", ".join(name for name, _ in predicted),
                )
        self.schema = pa.schema([*((name, pa.string()) for name in keep), *predicted])

    def tables(self, *, skip: int = 0) -> Iterator[pa.Table]:
        """Yield the rows of the records, in their order.

        Args:
            skip: number of rows to pass over: those of some of these tables.

        Raises:
            SourceError: the source cannot be read, or a record does not fit; its number is told.
        """
        rows: list[pa.RecordBatch] = []
        done, started, table_bytes = skip, skip, 0
        for piece in stream_pieces(
            self._source,
            self._types,
            records=self._records,
            text_bytes=_PIECE_BYTES,
            skip=skip,
            dialect=self._dialect,
        ):
            predicted = self._predict(self._encode(piece, done))
            kept = [piece.column(name) for name in self._keep]
            rows.append(pa.record_batch([*kept, *predicted], schema=self.schema))
            done += len(piece)
            table_bytes += sum(column.nbytes for column in predicted)
            table_bytes += int(count_text_bytes(piece).sum())
            if done - started >= _TABLE_ROWS or table_bytes >= _TABLE_BYTES:
                yield pa.Table.from_batches(rows).combine_chunks()
                rows, started, table_bytes = [], done, 0
        if rows:
            yield pa.Table.from_batches(rows).combine_chunks()

    def _encode(self, piece: pa.RecordBatch, before: int) -> npt.NDArray[np.float32]:
        """Return X of some records, shape (B, F); so many are before them."""
        try:
            for name, type_ in self._numbers.items():
                index = piece.schema.get_field_index(name)
                numbers = parse_numbers(name, piece.column(name), type_)
                piece = piece.set_column(index, name, numbers)
            return self._encoder.encode_columns(piece)
        except ContractError as error:
            records = f"records {before + 1:,} to {before + len(piece):,}"
            raise SourceError(
                f"{self._source}, {records}, {error.where}",
                expected=error.expected,
                found=error.found,
            ) from None

    def _predict(self, x: npt.NDArray[np.float32]) -> list[pa.Array]:
        """Return the columns of predictions for X, shape (B, F)."""
        padded = np.zeros((self._records, x.shape[1]), np.float32)
        padded[: len(x)] = x
        output = np.asarray(self.model.predict_on_batch(padded))[: len(x)]
        label = self._label
        if label.task == "regression":
            return [pa.array(output[:, 0].astype(np.float64) * label.std + label.mean)]
        columns = [pa.array(column) for column in np.ascontiguousarray(output.T)]
        if label.task == "multiclass":
            columns.append(pa.array(label.classes).take(pa.array(output.argmax(axis=1))))
        return columns


def _fields(label: LabelSpec) -> list[tuple[str, pa.DataType]]:
    """Return name and type of the columns of predictions."""
    if label.task == "binary":
        return [("probability", pa.float32())]
    if label.task == "regression":
        return [("prediction", pa.float64())]
    return [*((name, pa.float32()) for name in label.classes), ("prediction", pa.string())]
