"""Training itself: everything of a run that needs Keras."""

from __future__ import annotations

import platform
import time
from collections.abc import Callable
from dataclasses import dataclass
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path

import keras
import msgspec
import pyarrow as pa

from shared.errors import ModelError
from shared.layout import Side
from trainer.callbacks import make_callbacks
from trainer.config import FitConfig
from trainer.dataset import Dataset
from trainer.encode import Encoder
from trainer.export import export_model, exported_names
from trainer.features import FeatureSpec
from trainer.memory import peak_memory_bytes
from trainer.model import build_model, compile_model, load_model_function
from trainer.pace import PaceLine, WaitMeter, advise
from trainer.parity import check_parity
from trainer.read import read_records
from trainer.rundir import BEST_NAME, MODEL_NAME, TEMPORARY_NAME, Run, prepare_target
from trainer.sequence import CSVSequence

_LIBRARIES = ("shardfit", "keras", "tensorflow", "numpy", "pyarrow")

Say = Callable[[str], None]


def train(spec: FeatureSpec, dataset: Dataset, config: FitConfig, say: Say) -> Run:
    """Train a model, and write all of the run's directory but its `run.json`.

    Args:
        spec: what X and Y are made of.
        dataset: where the records are.
        config: the options.
        say: takes lines of prose.

    Returns:
        What `run.json` is to hold.

    Raises:
        ShardfitError: an expected failure.
    """
    _make_deterministic(config.seed)
    core = load_model_function(config.model, spec) if config.model else build_model(spec)
    prepare_target(config.out)
    saver = _Saver(core, spec, dataset, config.out)
    # Now, too: that a model of one's own cannot be saved must not be found out after hours.
    saver.save()
    records, validation_records = dataset.count(Side.TRAIN), dataset.count(Side.VALIDATE)
    say(
        f"{records:,} training records, {validation_records:,} validation records; "
        f"{len(spec.features)} columns, {spec.width} features; {spec.label.task}; "
        f"{core.count_params():,} weights"
    )
    started_s = time.monotonic()
    history, peak_bytes, meter = _fit(core, spec, dataset, config, say)
    seconds = time.monotonic() - started_s
    best = _restore_best(core, history, config.out / BEST_NAME)
    saver.save()
    return Run(
        options=msgspec.to_builtins(config, enc_hook=str),
        spec=spec,
        core=core.name,
        inputs=exported_names(core, spec),
        records=records,
        validation_records=validation_records,
        shards=sum(len(shards) for shards in dataset.shards.values()),
        epochs=len(history["loss"]),
        best_epoch=best + 1,
        metrics={name: values[best] for name, values in history.items()},
        seconds=seconds,
        wait_fraction=meter.fraction,
        advice=advise(meter, workers=config.workers, cache=config.cache),
        peak_memory_bytes=peak_bytes,
        versions=_versions(),
    )


def _make_deterministic(seed: int) -> None:
    """Make the weights a function of the seed and the data, on the same machine."""
    keras.utils.set_random_seed(seed)
    if keras.backend.backend() == "tensorflow":
        import tensorflow as tf

        tf.config.experimental.enable_op_determinism()


@dataclass(frozen=True)
class _Saver:
    """Saves the model with its preprocessing, once it is found to agree with the training path."""

    core: keras.Model
    spec: FeatureSpec
    dataset: Dataset
    out: Path

    def save(self) -> None:
        temporary = self.out / TEMPORARY_NAME
        try:
            try:
                export_model(self.core, self.spec).save(temporary)
            except (NotImplementedError, TypeError) as error:
                raise ModelError(
                    "the model cannot be saved",
                    found=str(error).strip(),
                    hint="give its custom classes a get_config",
                ) from None
            check_parity(temporary, self.core, Encoder(self.spec), self._records())
            temporary.replace(self.out / MODEL_NAME)
        finally:
            temporary.unlink(missing_ok=True)

    def _records(self) -> pa.Table:
        first = Path(self.dataset.shards[Side.TRAIN][0].path)
        return read_records(first.read_bytes(), Encoder(self.spec).types)


def _fit(
    core: keras.Model, spec: FeatureSpec, dataset: Dataset, config: FitConfig, say: Say
) -> tuple[dict[str, list[float]], int, WaitMeter]:
    """Train; return the metrics of each epoch, the most memory it took, and the waiting."""
    train = CSVSequence(
        dataset,
        spec=spec,
        batch_size=config.batch_size,
        workers=config.workers,
        max_queue_size=config.max_queue_size,
        seed=config.seed,
        shuffle_window=config.shuffle_window,
        cache=config.cache,
        cache_bytes=config.cache_bytes,
        say=say,
    )
    validate = None
    if dataset.shards[Side.VALIDATE]:
        validate = CSVSequence(
            dataset,
            side=Side.VALIDATE,
            spec=spec,
            batch_size=config.batch_size,
            max_queue_size=config.max_queue_size,
            shuffle=False,
            cache=config.cache,
            cache_bytes=config.cache_bytes,
            feed=train.feed,
            say=say,
        )
    if not core.compiled:
        steps = config.epochs * len(train)
        compile_model(core, spec, learning_rate=config.learning_rate, steps=steps)
    callbacks = make_callbacks(
        config.out,
        monitor="val_loss" if validate else "loss",
        patience=config.patience,
        shard_of=train.shard_of,
    )
    meter = WaitMeter(train)
    line = PaceLine(say, train, meter, epochs=config.epochs)
    callbacks += [meter, line]
    try:
        history = core.fit(
            train,
            validation_data=validate,
            epochs=config.epochs,
            shuffle=False,  # the sequence does it
            callbacks=callbacks,
            verbose=0,
        )
        return dict(history.history), peak_memory_bytes(train.feed.pids), meter
    except Exception:
        # TensorFlow wraps what a sequence raises in an error of its own.
        if error := train.error or (validate and validate.error):
            raise error from None
        raise
    finally:
        line.clear()
        train.close()
        if validate:
            validate.close()


def _restore_best(core: keras.Model, history: dict[str, list[float]], weights: Path) -> int:
    """Give the model the weights of its best epoch, and return the number of it, from 0."""
    monitored = history.get("val_loss", history["loss"])
    if not weights.exists():
        raise ModelError(
            "training",
            expected="a finite loss on the validation side",
            found=f"{monitored[0]} in the first epoch",
            hint="lower --learning-rate",
        )
    core.load_weights(weights)
    weights.unlink()
    return min(range(len(monitored)), key=lambda epoch: monitored[epoch])


def _versions() -> dict[str, str]:
    found = {"python": platform.python_version()}
    for library in _LIBRARIES:
        try:
            found[library] = version(library)
        except PackageNotFoundError:  # a checkout that is not installed, or another backend
            continue
    return found
