"""Training and serving compute the same: the saved model is held to the training path."""

from __future__ import annotations

import math
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import keras
import numpy as np
import numpy.typing as npt
import pyarrow as pa

from shared.errors import ModelError
from trainer.features.encode import Encoder, Float32
from trainer.features.read import count_text_bytes
from trainer.features.spec import FeatureSpec, Number
from trainer.serving.export import exported_names
from trainer.serving.serve import serve, serve_elsewhere
from trainer.shards.read import reduce_shard
from trainer.shards.shard import Shard

# Of a feature, and of an output in standard deviations. Float32 has seven digits; sines and some
# layers cost a few.
TOLERANCE = 1e-3
# Most features of the records that are compared: 1000 records have up to 262 each. What a model
# computes on the way stays in memory until its end, of a token some twenty numbers for each of its
# characters.
_MOST_FEATURES = 1 << 18
# And most bytes of their texts, were all as long as the longest: so NumPy holds them, as four bytes
# for each character, and a model takes all of a text apart, whatever it uses.
_MOST_TEXT_BYTES = 1 << 20


def read_compared(shard: Shard, encoder: Encoder) -> pa.RecordBatch:
    """Return the records of a shard that models are compared on, in their order.

    They are the first, if they are not too wide, but for those whose text is too long; or, where
    that is so of all, the one of the shortest text.

    Raises:
        ContractError: as `trainer.shards.read.read_table`.
    """
    most = max(1, _MOST_FEATURES // encoder.spec.width)

    def choose(parts: Iterator[pa.RecordBatch]) -> pa.RecordBatch:
        chosen: list[pa.RecordBatch] = []
        records = longest = 0
        shortest, spare = math.inf, None
        for part in parts:
            sizes = count_text_bytes(part)
            places = []
            for place, size in enumerate(sizes.tolist() if records < most else ()):
                if records < most and (records + 1) * max(longest, size) <= _MOST_TEXT_BYTES:
                    places.append(place)
                    records, longest = records + 1, max(longest, size)
            chosen.append(part.take(pa.array(places, pa.int64())))
            if len(part) and sizes.min() < shortest:
                shortest, spare = sizes.min(), part.take(pa.array([sizes.argmin()]))
        return pa.concat_batches(chosen if records or spare is None else [spare])

    return reduce_shard(shard, encoder.types, choose, options=encoder.options)


def raw_inputs(
    table: pa.RecordBatch, spec: FeatureSpec, names: dict[str, str]
) -> dict[str, npt.NDArray[Any]]:
    """Return records, read with `trainer.features.read.column_types`, as inputs of a saved model.

    The arrays have the shape (B, 1). `model.predict_on_batch` takes them as they are, where
    `model.predict` refuses text in NumPy arrays, and rounds float64 to float32.
    """
    inputs = {}
    for feature in spec.features:
        column = table.column(feature.column)
        is_number = isinstance(feature, Number)
        values = column.to_numpy(zero_copy_only=False) if is_number else column.to_pylist()
        dtype = np.float64 if is_number else np.str_
        inputs[names[feature.column]] = np.array(values, dtype)[:, np.newaxis]
    return inputs


def check_parity(
    path: Path, core: keras.Model, encoder: Encoder, table: pa.RecordBatch, model: str | None = None
) -> None:
    """Compare a saved model with the core model on real records.

    Args:
        path: of the saved model.
        core: the core model in memory, as it was trained.
        encoder: as the workers use it.
        table: records, read as `trainer.features.read.column_types` says.
        model: `MODULE:FUNCTION`, where the core model has layers of one's own.

    Raises:
        ModelError: they differ.
    """
    spec = encoder.spec
    x = encoder.encode_columns(table)
    if spec.transform is not None:
        saved = keras.saving.load_model(path)
        check_output(path, core, spec, x, keras.ops.convert_to_numpy(saved(x)))
        return
    raw = raw_inputs(table, spec, exported_names(core, spec))
    # Text is TensorFlow's alone.
    is_here = keras.backend.backend() == "tensorflow"
    features, output = serve(path, raw) if is_here else serve_elsewhere(path, raw, model)
    for name, trained, served in zip(spec.names, x.T, features.T, strict=True):
        _compare(f"{path}: feature {name!r}", trained, served)
    check_output(path, core, spec, x, output)


def check_output(
    path: Path, core: keras.Model, spec: FeatureSpec, x: Float32, served: npt.NDArray[Any]
) -> None:
    """Compare what an exported model gives with the core model.

    Args:
        path: of the exported model.
        core: the core model, as it was trained.
        spec: what it was trained on.
        x: features of records, shape (B, F), as the workers encode them.
        served: what the exported model gives for these records; a regression in original units.

    Raises:
        ModelError: they differ.
    """
    if spec.label.task == "regression":
        served = (served - spec.label.mean) / spec.label.std
    _compare(f"{path}: output", keras.ops.convert_to_numpy(core(x)), served)


def _compare(where: str, trained: npt.NDArray[Any], served: npt.NDArray[Any]) -> None:
    close = np.isclose(trained, served, rtol=TOLERANCE, atol=TOLERANCE)
    if not close.all():
        at = tuple(np.argwhere(~close)[0])
        raise ModelError(
            where,
            expected=f"{trained[at]:g} as in training (record {at[0] + 1} of those compared)",
            found=f"{served[at]:g} from the saved model",
            hint="the model must not be used; this is a bug of shardfit or of a --model's layers",
        )
