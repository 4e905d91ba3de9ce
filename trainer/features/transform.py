"""The classic hook: a function of one's own, from a DataFrame to features and labels.

    def prepare(frame: pandas.DataFrame) -> tuple[features, labels]:

It is given the records of one shard after the other, in the workers, which import pandas only then:
every column of the table, in the types of the profile, whatever a single shard has. It gives a
number for each feature of each record, as a DataFrame or a matrix, and a label for each record.

Shapes: B records, F features.
"""

from __future__ import annotations

from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from shared.errors import ContractError
from shared.nopandas import let_pandas_in
from shared.schema import ColumnType
from shared.user_code import load_function
from shared.values import MISSING_FIELDS
from trainer.features.encode import Batch, Encoder, Float32
from trainer.features.read import misfit
from trainer.features.spec import FeatureSpec, Kind, Transform


class UserFunction:
    """The function of `--transform`, called with records, and its answer checked."""

    def __init__(self, transform: Transform) -> None:
        """Import the function.

        Raises:
            ConfigError: there is no such function.
            ContractError: its module is not the one that the features were made with.
        """
        let_pandas_in()
        self._transform = transform
        self._where = f"--transform {transform.reference}"
        self._user_code = load_function(transform.reference, "--transform")
        if self._user_code.digest != transform.digest:
            files = " and ".join(self._user_code.files)
            raise ContractError(
                self._where,
                expected=f"{files} as it was when the features were made",
                found="another text",
                hint="undo the change, or train again",
            )

    def __call__(self, table: pa.RecordBatch) -> tuple[list[str], Float32, Any]:
        """Return names of the features, X (B, F), and the labels (B,) as the function gives them.

        Raises:
            ContractError: it fails, or what it gives does not fit.
        """
        frame = make_frame(table, self._transform)
        try:
            answer = self._user_code.function(frame)
        except Exception as error:
            raise self._fault(found=self._user_code.explain(error)) from None
        if not isinstance(answer, tuple) or len(answer) != 2:
            raise self._fault(expected="features and labels", found=_kind(answer))
        features, labels = answer
        names, x = self._check_features(features, table.num_rows)
        labels = np.asarray(labels)
        if labels.shape != (table.num_rows,):
            raise self._fault(
                expected=f"{table.num_rows} labels, one for each record",
                found=f"an array of shape {labels.shape}",
            )
        return names, x, labels

    def check_names(self, found: list[str], expected: list[str]) -> None:
        """Refuse features of other names than before.

        Raises:
            ContractError: they are.
        """
        if found != expected:
            raise self._fault(
                expected=f"the features {', '.join(expected)}, as of the first shard",
                found=", ".join(found),
                hint="they must not depend on what a single shard has",
            )

    def _check_features(self, features: Any, records: int) -> tuple[list[str], Float32]:
        shape = np.shape(features)
        if len(shape) != 2 or shape[0] != records or not shape[1]:
            raise self._fault(
                expected=f"a table of {records} rows, one for each record",
                found=f"{_kind(features)} of shape {shape}",
            )
        if hasattr(features, "iloc"):
            names = [str(name) for name in features.columns]
            columns = [features.iloc[:, place] for place in range(shape[1])]
        else:
            names = [str(number) for number in range(1, shape[1] + 1)]
            columns = list(np.asarray(features).T)
        if len(set(names)) < len(names):
            raise self._fault(expected="features of different names", found=", ".join(names))
        x = np.empty(shape, np.float32)
        for place, (name, column) in enumerate(zip(names, columns, strict=True)):
            x[:, place] = self._check_numbers(name, column)
        return names, x

    def _check_numbers(self, name: str, column: Any) -> Float32:
        """Return a column of what the function gave, shape (B,), if it is finite numbers."""
        if getattr(column.dtype, "kind", "O") not in "biuf":
            raise self._fault(
                expected="one number for each record", found=f"{column.dtype} in feature {name!r}"
            )
        if hasattr(column, "to_numpy"):
            column = column.to_numpy(np.float64, na_value=np.nan)
        with np.errstate(over="ignore"):
            numbers: Float32 = np.asarray(column, np.float32)
        finite = np.isfinite(numbers)
        if not finite.all():
            record = int(finite.argmin())
            raise self._fault(
                expected="finite numbers, as float32 has them",
                found=f"{column[record]} in feature {name!r} of record {record + 1}",
                hint="fill what is missing",
            )
        return numbers

    def _fault(self, *, expected: str = "", found: str, hint: str = "") -> ContractError:
        return ContractError(self._where, expected=expected, found=found, hint=hint)


class TransformEncoder(Encoder):
    """An encoder whose features come from the function."""

    wants_whole_shards = True

    def __init__(self, spec: FeatureSpec, transform: Transform) -> None:
        """Prepare; the function is imported with the first records: its faults name them."""
        super().__init__(spec)
        self._transform = transform
        self._function: UserFunction | None = None

    def encode(self, records: pa.RecordBatch, before: int = 0) -> Batch:
        """Encode the records of one shard, all of them."""
        x, labels = self._call(records)
        y = self.encode_label(spell_labels(labels, self.spec.label.reading))
        return Batch(x, y, self.encode_weights(records, before))

    def encode_columns(self, table: pa.RecordBatch) -> Float32:
        """Encode the features of records; the label may be missing among their columns."""
        return self._call(table)[0]

    def _call(self, table: pa.RecordBatch) -> tuple[Float32, Any]:
        if self._function is None:
            self._function = UserFunction(self._transform)
        names, x, labels = self._function(table)
        self._function.check_names(names, [f.column for f in self.spec.features])
        return x, labels


def make_encoder(spec: FeatureSpec) -> Encoder:
    """Return what encodes the records of a spec."""
    return Encoder(spec) if spec.transform is None else TransformEncoder(spec, spec.transform)


def spell_labels(labels: Any, reading: str) -> pa.Array:
    """Return labels that a function gave as fields of a table, read as the label is."""
    if reading == "number":
        return pa.array(labels.astype(np.float64))
    return pa.array([str(label) for label in labels.tolist()], pa.string())


def make_frame(table: pa.RecordBatch, transform: Transform) -> Any:
    """Return records as a `pandas.DataFrame`, in the types of the profile.

    Numbers are float64, or int64 if none is missing in the profile; booleans bool or pandas's
    nullable boolean; times datetime64; text as pandas has it, with the missing value for an empty
    field. A column that is not there, which may be the label, is missing throughout.
    """
    import pandas as pd

    columns = {}
    for name, kind in transform.columns.items():
        if name not in table.column_names:
            columns[name] = pd.Series([None] * table.num_rows, dtype=object)
            continue
        try:
            columns[name] = _series(table.column(name), kind, pd)
        except pa.ArrowInvalid as error:
            raise misfit(name, f"{kind.type} values", str(error)) from None
    return pd.DataFrame(columns)


def _series(column: Any, kind: Kind, pd: Any) -> Any:
    if kind.type is ColumnType.INTEGER and not kind.missing:
        if column.null_count:
            raise pa.ArrowInvalid("a missing one")
        return pd.Series(np.asarray(pc.cast(column, pa.int64())))
    if kind.type in (ColumnType.INTEGER, ColumnType.NUMBER):
        return pd.Series(np.asarray(pc.cast(column, pa.float64())))
    gaps = ("",) if kind.type is ColumnType.TEXT else MISSING_FIELDS
    text = pc.if_else(pc.is_in(column, value_set=pa.array(gaps)), None, column)
    if kind.type is ColumnType.TIMESTAMP:
        return pd.Series(np.asarray(pc.cast(pc.utf8_trim_whitespace(text), pa.timestamp("us"))))
    if kind.type is ColumnType.BOOLEAN:
        if text.null_count and not kind.missing:
            raise pa.ArrowInvalid("a missing one")
        flags = pc.index_in(pc.utf8_lower(text), value_set=pa.array(["false", "true"]))
        if flags.null_count > text.null_count:
            raise pa.ArrowInvalid("another word than true and false")
        dtype = "boolean" if kind.missing else "bool"
        return pd.Series(flags.cast(pa.bool_()).to_pylist(), dtype=dtype)
    return pd.Series(text.to_pylist(), dtype="str")


def _kind(answer: Any) -> str:
    return f"{type(answer).__name__}" + (f" of {len(answer)}" if isinstance(answer, tuple) else "")
