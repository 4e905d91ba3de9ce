"""From the bytes of a shard to the arrays of a batch, with NumPy and Arrow alone.

This runs in the worker processes, which import neither Keras nor TensorFlow.
Shapes: B records, F features, C classes, N numbers (see `trainer.features.spec`).
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import Any, NamedTuple

import farmhash
import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc

from trainer.features.read import column_types, convert_options, misfit
from trainer.features.scaling import knots, signed_log
from trainer.features.spec import Categorical, FeatureSpec, Hashed, Quantile, Text, Vocabulary
from trainer.features.timestamps import encode_timestamps
from trainer.features.tokens import hash_tokens, number_characters
from trainer.features.weights import encode_weights

Float32 = npt.NDArray[np.float32]
Float64 = npt.NDArray[np.float64]
Int64 = npt.NDArray[np.int64]
Int = npt.NDArray[np.integer[Any]]
Bool = npt.NDArray[np.bool_]


class Batch(NamedTuple):
    """The arrays of one shard.

    Attributes:
        x: features, shape (B, F).
        y: labels, shape (B,): 1 for the positive class, or a standardised number; of several
            classes one-hot, shape (B, C).
        weights: of the records, shape (B,), if the spec has a column of them.
    """

    x: Float32
    y: Float32
    weights: Float32 | None = None

    @property
    def arrays(self) -> list[Float32]:
        """Those that are there."""
        return [self.x, self.y] if self.weights is None else [self.x, self.y, self.weights]

    def each(self, change: Callable[[Float32], Float32]) -> Batch:
        """Return the batch of what its arrays are changed to."""
        return Batch(*map(change, self.arrays))


def lay_end_to_end(batches: Iterable[Batch], records: int) -> Batch:
    """Return batches as one.

    Each is copied, and let go of, before the next one is asked for: all of them twice would be much
    of the memory.

    Args:
        batches: one or more.
        records: how many they have together.
    """
    whole: Batch | None = None
    start = 0
    for batch in batches:
        stop = start + len(batch.x)
        if whole is None and stop == records:
            whole = batch
        elif whole is None:
            whole = batch.each(lambda array: np.empty((records, *array.shape[1:]), np.float32))
        if whole is not batch:
            for into, array in zip(whole.arrays, batch.arrays, strict=True):
                into[start:stop] = array
        start = stop
        del batch
    if whole is None:
        raise ValueError("no batch")
    return whole


class Encoder:
    """Turns records into arrays, as a spec says.

    Its methods raise `ContractError` as `trainer.features.read.read_records` does.

    Attributes:
        spec: what the arrays are made of.
        types: the columns that are encoded, and how each is read.
        options: the same, for Arrow.
        wants_whole_shards: whether all records of a shard must come at once.
    """

    wants_whole_shards = False

    def __init__(self, spec: FeatureSpec) -> None:
        """Prepare what does not change from shard to shard."""
        self.spec = spec
        self.types = column_types(spec, label=True)
        self.options = convert_options(self.types)
        numbers = spec.numeric
        # Shape (N, 1), to be broadcast over records.
        self._fill = np.array([f.fill for f in numbers], np.float64)[:, np.newaxis]
        scaled = [f for f in numbers if not isinstance(f, Quantile)]
        self._mean = np.array([f.mean for f in scaled], np.float64)[:, np.newaxis]
        self._std = np.array([f.std for f in scaled], np.float64)[:, np.newaxis]
        self._unit = np.array([f.unit for f in spec.log], np.float64)[:, np.newaxis]
        self._knots = [knots(f.quantiles) for f in spec.quantile]
        self._indicated = [i for i, f in enumerate(numbers) if f.indicator]
        # Nothing is equal to the null at 1, the place of the unknown.
        self._vocabularies = {
            f.column: pa.array(["", None, *f.values], pa.string())
            for f in spec.categorical
            if isinstance(f, Vocabulary)
        }
        classes = spec.label.classes
        numeric = spec.label.reading == "number"
        self._number_classes = np.array(classes if numeric else (), np.float64)
        self._text_classes = pa.array(classes, pa.string())

    def encode(self, records: pa.RecordBatch, before: int = 0) -> Batch:
        """Encode records of a shard; so many are before them, for messages."""
        y = self.encode_label(records.column(self.spec.label.column))
        return Batch(self.encode_columns(records), y, self.encode_weights(records, before))

    def encode_weights(self, records: pa.RecordBatch, before: int) -> Float32 | None:
        """Return how much records count, shape (B,), if there is a column that says so."""
        name = self.spec.weight
        return None if name is None else encode_weights(records.column(name), name, before)

    def encode_columns(self, table: pa.RecordBatch) -> Float32:
        """Encode the features of records, read as `column_types` says; shape (B, F)."""
        spec = self.spec
        x = np.empty((table.num_rows, spec.width), np.float32)
        numbers, missing = self._encode_numbers(table)
        x[:, : len(numbers)] = numbers.T
        indicators: list[Bool] = [missing[i] for i in self._indicated]
        times: list[Float64] = []
        for stamp in spec.temporal:
            unknown, parts = encode_timestamps(stamp, table.column(stamp.column))
            if stamp.indicator:
                indicators.append(unknown)
            times.extend(parts)
        for offset, column in enumerate((*indicators, *times), start=len(numbers)):
            x[:, offset] = column
        for feature, category in zip(spec.categorical, spec.categories, strict=True):
            last = category.position + category.width
            index = self._encode_category(feature, table.column(feature.column))
            x[:, category.position : last] = index.reshape(len(x), category.width)
        return x

    def _encode_numbers(self, table: pa.RecordBatch) -> tuple[Float64, Bool]:
        """Return the scaled numbers and where they are missing, both of shape (N, B)."""
        numbers = _stack_numbers(table, [f.column for f in self.spec.numeric])
        # Infinity is what some programs write for "unknown"; the profile counts it as missing.
        missing = ~np.isfinite(numbers)
        np.copyto(numbers, self._fill, where=missing)
        # In float64: a large mean with a small deviation would leave few digits in float32.
        scaled, ranked = numbers[: len(self._mean)], numbers[len(self._mean) :]
        if len(self._unit):
            logs = scaled[-len(self._unit) :]
            logs[:] = signed_log(logs, self._unit)
        scaled -= self._mean
        scaled /= self._std
        for row, (found, targets) in zip(ranked, self._knots, strict=True):
            row[:] = np.interp(row, found, targets)
        return numbers, missing

    def _encode_category(self, feature: Categorical, text: pa.StringArray) -> Int:
        """Return indexes, of shape (B,); of a text (B, T)."""
        if isinstance(feature, Hashed):
            return _hash_texts(text, feature.bins)
        if isinstance(feature, Text):
            return _tokenise(text, feature)
        found = pc.index_in(text, value_set=self._vocabularies[feature.column])
        index: Int = found.fill_null(1).to_numpy()
        return index

    def encode_label(self, column: pa.Array) -> Float32:
        """Encode the labels of B records; returns the `y` of a `Batch`."""
        label = self.spec.label
        if label.task == "regression":
            numbers = self._label_numbers(column)
            return ((numbers - label.mean) / label.std).astype(np.float32)
        index = self._class_indexes(column)
        if label.task == "binary":
            return index.astype(np.float32)
        return np.eye(len(label.classes), dtype=np.float32)[index]

    def _label_numbers(self, column: pa.Array) -> Float64:
        numbers: Float64 = column.to_numpy(zero_copy_only=False)
        finite = np.isfinite(numbers)
        if not finite.all():
            raise misfit(self.spec.label.column, "a number", column[int(finite.argmin())].as_py())
        return numbers

    def _class_indexes(self, column: pa.Array) -> Int64:
        label = self.spec.label
        index: Int64
        if label.reading == "number":
            numbers = self._label_numbers(column)
            index = np.searchsorted(self._number_classes, numbers) % len(label.classes)
            known = self._number_classes[index] == numbers
        else:
            text = pc.utf8_lower(column) if label.reading == "boolean" else column
            found = pc.index_in(text, value_set=self._text_classes)
            known = found.is_valid().to_numpy(zero_copy_only=False)
            index = found.fill_null(0).to_numpy().astype(np.int64)
        if not known.all():
            first = column[int(known.argmin())].as_py()
            raise misfit(label.column, f"one of {', '.join(label.classes[:20])}", first)
        return index


def _hash_texts(text: pa.StringArray, bins: int) -> Int64:
    """Return the index of each text, shape (B,); each different text is hashed once."""
    coded = text.dictionary_encode()
    bin_of = [
        1 + farmhash.fingerprint64(value) % bins if value else 0
        for value in coded.dictionary.to_pylist()
    ]
    index: Int64 = np.array(bin_of, np.int64)[coded.indices.to_numpy()]
    return index


def _tokenise(text: pa.StringArray, feature: Text) -> Int:
    """Return the indexes of the tokens, (B, T); each different text is looked at once."""
    coded = text.dictionary_encode()
    characters = number_characters(coded.dictionary.to_pylist(), feature.tokens)
    index: Int = np.zeros((len(characters), feature.tokens), np.int32)
    found = hash_tokens(characters, np, tokens=feature.tokens, bins=feature.bins)
    index[:, : found.shape[1]] = found
    of_record: Int = index[coded.indices.to_numpy()]
    return of_record


def _stack_numbers(table: pa.RecordBatch, names: list[str]) -> Float64:
    """Return a copy of columns of numbers, NaN where one is missing; shape (N, B).

    Arrow does that at once, in a third of the time that a call for each column takes.
    """
    if not names or not table.num_rows:
        return np.empty((len(names), table.num_rows), np.float64)
    tensor = table.select(names).to_tensor(null_to_nan=True, row_major=False)
    numbers: Float64 = tensor.to_numpy().T
    return numbers
