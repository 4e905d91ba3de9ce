"""How much memory training takes, told from the features and the sizes of the shards.

The figures were fitted to measurements, see docs/decisions.md. All sizes are in MiB.
"""

from __future__ import annotations

from collections.abc import Sequence

from trainer.features.spec import FeatureSpec
from trainer.shards.batches import HIDDEN_BYTES, default_batch, default_window
from trainer.shards.shard import Shard

_MIB = 1 << 20
# Python, TensorFlow and Keras, with a model of a few columns; and a worker that has read nothing.
_TRAINER, _WORKER = 740, 90
# What a column takes while the model is saved, and what of it stays. Keras has objects for each.
_COLUMN, _COLUMN_LEFT = 0.06, 0.02
# Of larger arrays, two workers are one (`trainer.sequence`).
_ARRAYS_OF_TWO = 32
# A weight, its gradient, the optimiser's two numbers, and the copies that are kept or written.
_WEIGHT_BYTES = 30
# Units of the first layer of the default model.
_UNITS = 256
# Arrow reads so far ahead, and has so much beside.
_READ_AHEAD, _PARSER = 128, 20


def forecast_memory(spec: FeatureSpec, shards: Sequence[Shard]) -> float:
    """Return how many MiB a training takes with the defaults, all processes together.

    Args:
        spec: what X and Y are made of.
        shards: those of the training side.
    """
    records = max(shard.records for shard in shards)
    row = 4 * (spec.width + spec.label.outputs)
    arrays = row * records / _MIB
    everything = row * sum(shard.records for shard in shards) / _MIB
    windows = min(2 * default_window(row * records) * arrays, everything)
    batch = default_batch(records, spec.record_bytes) * (spec.record_bytes + HIDDEN_BYTES) / _MIB
    weights = spec.numbers.stop * _UNITS + sum(c.cardinality * c.embedding for c in spec.categories)
    trainer = _TRAINER + weights * _WEIGHT_BYTES / _MIB
    text = max(shard.bytes or 0 for shard in shards) / _MIB
    worker = _WORKER + _PARSER + min(text, _READ_AHEAD) + 1.5 * arrays
    reading = windows + 3.5 * batch + (1 if arrays > _ARRAYS_OF_TWO else 2) * worker
    columns = len(spec.features)
    return float(trainer + max(columns * _COLUMN, columns * _COLUMN_LEFT + reading))
