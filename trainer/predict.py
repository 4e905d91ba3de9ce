"""What a finished run says of a raw CSV: one row out for each record in."""

from __future__ import annotations

import contextlib
import csv
import io
import os
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any, BinaryIO

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.csv

from shared.errors import ContractError, SourceError, TargetError
from trainer.config import PredictConfig
from trainer.encode import Encoder, Float32
from trainer.label import LabelSpec
from trainer.quiet import import_keras
from trainer.read import column_types
from trainer.rundir import load_run
from trainer.stream import check_header, stream_records

# Records that go through the model at a time. Always as many, the last ones filled up, since
# TensorFlow traces anew for each other number.
_ROWS = 1024

Model = Any  # a keras.Model, which is not imported until the source is found to be one


def run(config: PredictConfig) -> int:
    """Write a prediction for each record, in their order; return the number of records.

    The columns are, for a binary task `probability`, of the positive class; for several classes
    one for each, and `prediction`, the likeliest; for a regression `prediction`.

    Raises:
        ShardfitError: an expected failure; the file is then not written.
    """
    finished = load_run(config.run)
    encoder = Encoder(finished.spec)
    records = 0
    types = column_types(finished.spec, label=False)
    check_header(config.source, types)
    import_keras()
    from trainer.restore import load_core

    core = load_core(config.run, finished)
    with _open_target(config.out) as target:
        schema = _schema(finished.spec.label)
        # Not Arrow's header: it puts every name in quotes.
        target.write(_header(schema))
        options = pyarrow.csv.WriteOptions(include_header=False, quoting_style="needed")
        with pyarrow.csv.CSVWriter(target, schema, write_options=options) as writer:
            for batch in stream_records(config.source, types):
                try:
                    x = encoder.encode_columns(batch)
                except ContractError as error:
                    raise SourceError(
                        f"{config.source}, {error.where}",
                        expected=error.expected,
                        found=error.found,
                    ) from None
                for output, rows in _outputs(core, x):
                    writer.write(_table(output[:rows], finished.spec.label, schema))
                records += len(x)
    return records


def _outputs(core: Model, x: Float32) -> Iterator[tuple[npt.NDArray[Any], int]]:
    """Yield what the core model gives for pieces of X (B, F), and how many rows of it count."""
    for start in range(0, len(x), _ROWS):
        piece = x[start : start + _ROWS]
        padded = np.zeros((_ROWS, x.shape[1]), np.float32)
        padded[: len(piece)] = piece
        yield np.asarray(core.predict_on_batch(padded)), len(piece)


def _header(schema: pa.Schema) -> bytes:
    line = io.StringIO()
    csv.writer(line, lineterminator="\n").writerow(schema.names)
    return line.getvalue().encode()


def _schema(label: LabelSpec) -> pa.Schema:
    if label.task == "binary":
        return pa.schema([("probability", pa.float32())])
    if label.task == "regression":
        return pa.schema([("prediction", pa.float64())])
    fields = [(name, pa.float32()) for name in label.classes]
    return pa.schema([*fields, ("prediction", pa.string())])


def _table(output: npt.NDArray[Any], label: LabelSpec, schema: pa.Schema) -> pa.RecordBatch:
    columns: list[pa.Array]
    if label.task == "regression":
        columns = [pa.array(output[:, 0].astype(np.float64) * label.std + label.mean)]
    else:
        columns = [pa.array(column) for column in np.ascontiguousarray(output.T)]
    if label.task == "multiclass":
        columns.append(pa.array(label.classes).take(pa.array(output.argmax(axis=1))))
    return pa.record_batch(columns, schema=schema)


@contextlib.contextmanager
def _open_target(out: Path | None) -> Iterator[BinaryIO]:
    """Open a file that gets its name once it is complete, or standard output."""
    if out is None:
        yield sys.stdout.buffer
        sys.stdout.buffer.flush()
        return
    temporary = out.with_name(f".{out.name}.{os.getpid()}.tmp")
    try:
        with temporary.open("wb") as file:
            yield file
        temporary.replace(out)
    except OSError as error:
        raise TargetError(out, found=error.strerror or str(error)) from None
    finally:
        temporary.unlink(missing_ok=True)
