"""What a run is told: options, checked once, then trusted."""

from __future__ import annotations

import math
from collections.abc import Collection
from dataclasses import dataclass
from pathlib import Path
from typing import Literal, get_args

from shared.dialect import Dialect, check_dialect
from shared.errors import ConfigError
from shared.layout import Side
from trainer.features.label import ClassWeight, Task

Format = Literal["csv", "parquet"]
Jit = Literal["auto", "on", "off"]
Missing = Literal["indicator", "zero"]
ModelFormat = Literal["saved_model", "onnx"]

# The options that do not change what comes out: a run that goes on may have others.
NEUTRAL_OPTIONS = frozenset(
    {
        *("dataset", "out", "workers", "max_queue_size", "worker_timeout", "cache", "cache_bytes"),
        *("checkpoint_every", "overwrite", "steps_per_execution"),
        # The features themselves are compared.
        "features",
    }
)


@dataclass(frozen=True, kw_only=True)
class FitConfig:
    """Options of `trainer fit`.

    Attributes:
        dataset: directory of the dataset, as `sharder` prints it.
        label: name of the column to predict.
        out: directory of the run, to be made.
        epochs: passes over the training side, at most.
        batch_size: records a batch; None makes each shard a batch, unless it is very wide.
        workers: processes that read shards; 0 reads in this one.
        max_queue_size: batches that are read ahead, at most; see `CSVSequence`.
        worker_timeout: seconds after which a worker that still reads a shard is replaced.
        seed: of the weights and of the order of the batches.
        shuffle_window: number of shards whose records are mixed; None is 64 of a usual width.
        cache: where encoded records are kept: "auto", "off", or a directory.
        cache_bytes: what the caches there may take together; None is what the disk has free.
        drop: names of columns to leave out.
        keep: names of columns to learn from although they look like identifiers.
        features: a file of features, edited; instead of `drop`, `keep` and `missing`.
        transform: `MODULE:FUNCTION` of one's own, instead of `features`, `drop`, `keep`, `missing`.
        task: kind of task; `auto` decides by the label's values.
        model: `MODULE:FUNCTION` of a model of one's own; None for the default model.
        learning_rate: the highest. It falls to zero along a cosine.
        warmup: batches over which it rises from zero first; below 1 a share of all.
        class_weight: "balanced", or weights of classes.
        weight_column: name of the column that says how much each record counts.
        monitor: name of the metric that tells the best epoch, on the validation side.
        patience: epochs without a better result until training stops.
        missing: what stands for a missing number (see `trainer.derive.rules.derive_features`).
        mixed_precision: whether to multiply matrices in bfloat16.
        jit_compile: whether XLA compiles the steps: "auto", "on" or "off".
        steps_per_execution: batches whose steps are made in one call of the backend; None is up to
            16, by the length of the default model's steps, or what one's own is compiled with.
        checkpoint_every: batches between two checkpoints; every epoch ends with one, too.
        more_epochs: passes to go on with a finished run, at most.
        overwrite: whether to replace a run in `out`.
    """

    dataset: Path
    label: str
    out: Path
    # 20 epochs at 0.002 explain 98 % of the variance of diamond prices; 10 fall short of 97 %.
    epochs: int = 20
    batch_size: int | None = None
    # Two deliver more than a model on as many cores takes.
    workers: int = 2
    max_queue_size: int = 8
    # A shard takes a millisecond: room for a disk that spins up, or a network drive.
    worker_timeout: float = 60.0
    seed: int = 0
    shuffle_window: int | None = None
    cache: str = "auto"
    cache_bytes: int | None = None
    drop: tuple[str, ...] = ()
    keep: tuple[str, ...] = ()
    features: Path | None = None
    transform: str | None = None
    task: Task | Literal["auto"] = "auto"
    model: str | None = None
    learning_rate: float = 0.002
    warmup: float = 0.0
    class_weight: ClassWeight | None = None
    weight_column: str | None = None
    monitor: str = "loss"
    # While the learning rate is high, the validation loss jumps: the best epochs come late.
    patience: int = 10
    missing: Missing = "indicator"
    mixed_precision: bool = False
    jit_compile: Jit = "auto"
    steps_per_execution: int | None = None
    # One takes as long as two steps.
    checkpoint_every: int = 1000
    more_epochs: int | None = None
    overwrite: bool = False

    def __post_init__(self) -> None:
        """Refuse what cannot be meant."""
        _at_least("--epochs", self.epochs, 1)
        if self.batch_size is not None:
            _at_least("--batch-size", self.batch_size, 1)
        _at_least("--workers", self.workers, 0)
        _at_least("--max-queue-size", self.max_queue_size, 1)
        _at_least("--patience", self.patience, 1)
        _at_least("--checkpoint-every", self.checkpoint_every, 1)
        if self.steps_per_execution is not None:
            _at_least("--steps-per-execution", self.steps_per_execution, 1)
        if self.more_epochs is not None:
            _at_least("--more-epochs", self.more_epochs, 1)
            if self.overwrite:
                raise ConfigError("--more-epochs", expected="no --overwrite", found="both")
        if self.shuffle_window is not None:
            _at_least("--shuffle-window", self.shuffle_window, 1)
        if not 0 <= self.seed < 2**32:
            raise ConfigError(
                "--seed", expected="a whole number from 0 to 2**32 - 1", found=f"{self.seed}"
            )
        if not (math.isfinite(self.learning_rate) and self.learning_rate > 0):
            raise ConfigError(
                "--learning-rate", expected="a number above 0", found=f"{self.learning_rate}"
            )
        if not (self.warmup >= 0 and (self.warmup < 1 or float(self.warmup).is_integer())):
            raise ConfigError(
                "--warmup",
                expected="a whole number of batches, or a share of all from 0 to 1",
                found=f"{self.warmup:g}",
            )
        if not (math.isfinite(self.worker_timeout) and self.worker_timeout > 0):
            raise ConfigError(
                "--worker-timeout", expected="seconds above 0", found=f"{self.worker_timeout:g}"
            )
        _one_of("--jit-compile", self.jit_compile, get_args(Jit))
        _one_of("--task", self.task, ("auto", *get_args(Task)))
        _one_of("--missing", self.missing, get_args(Missing))
        check_alone(self.features, self.transform, self.drop, self.keep, self.missing)


@dataclass(frozen=True, kw_only=True)
class EvaluateConfig:
    """Options of `trainer evaluate`.

    Attributes:
        run: directory of a finished run.
        dataset: directory of a dataset with the columns that the run was trained on.
        side: the side to look at.
        workers: processes that read shards; 0 reads in this one.
        model: `MODULE:FUNCTION` that the run was made with, where it has layers of its own.
        transform: `MODULE:FUNCTION` that the run was made with, if it was with one.
    """

    run: Path
    dataset: Path
    side: Side = Side.VALIDATE
    workers: int = 2
    model: str | None = None
    transform: str | None = None

    def __post_init__(self) -> None:
        """Refuse what cannot be meant."""
        _at_least("--workers", self.workers, 0)


@dataclass(frozen=True, kw_only=True)
class PredictConfig:
    """Options of `trainer predict`.

    Attributes:
        run: directory of a finished run.
        source: the CSV; columns are found by name, those that the run does not know are skipped.
        out: the file to write, once it is complete; None writes to standard output.
        format: of the file; None goes by its name.
        keep: names of columns of the source to write, too, as they are.
        overwrite: whether to replace an existing file.
        delimiter: the ASCII character between two fields of the source.
        quote_char: the ASCII character around fields; None if none has a meaning.
        escape_char: the ASCII character that takes the meaning from the one behind it; None if
            none does.
        model: `MODULE:FUNCTION` that the run was made with, where it has layers of its own.
        transform: `MODULE:FUNCTION` that the run was made with, if it was with one.
    """

    run: Path
    source: Path
    out: Path | None
    format: Format | None = None
    keep: tuple[str, ...] = ()
    overwrite: bool = False
    delimiter: str = ","
    quote_char: str | None = '"'
    escape_char: str | None = None
    model: str | None = None
    transform: str | None = None

    @property
    def dialect(self) -> Dialect:
        """The dialect of the source."""
        return Dialect(self.delimiter, self.quote_char, self.escape_char)

    def __post_init__(self) -> None:
        """Refuse what cannot be meant, such as to write over the source."""
        check_dialect(self.dialect)
        if self.out is not None and self.out.resolve() == self.source.resolve():
            raise ConfigError("--out", expected="another file than the source", found=str(self.out))
        if self.format is not None:
            _one_of("--format", self.format, get_args(Format))
        if len(set(self.keep)) < len(self.keep):
            raise ConfigError("--keep", expected="each column once", found=", ".join(self.keep))


@dataclass(frozen=True, kw_only=True)
class ExportConfig:
    """Options of `trainer export`.

    Attributes:
        run: directory of a finished run.
        format: of the model.
        model: `MODULE:FUNCTION` that the run was made with, where it has layers of its own.
        out: file or directory to write, once it is found to be right; None is in the run's.
        dataset: whose first training shard the model is tried on; None is what it was trained on.
        overwrite: whether to replace what an earlier run wrote.
    """

    run: Path
    format: ModelFormat
    model: str | None = None
    out: Path | None = None
    dataset: Path | None = None
    overwrite: bool = False

    def __post_init__(self) -> None:
        """Refuse what cannot be meant."""
        _one_of("--format", self.format, get_args(ModelFormat))


def check_alone(
    features: Path | None,
    transform: str | None,
    drop: Collection[str],
    keep: Collection[str],
    missing: Missing,
) -> None:
    """Refuse to be told in two ways what becomes of the columns.

    Raises:
        ConfigError: there are two.
    """
    others = {"--drop": bool(drop), "--keep": bool(keep), "--missing zero": missing == "zero"}
    if features is not None:
        _alone("--features", others, hint="say in the file what becomes of the column")
    if transform is not None:
        others["--features"] = features is not None
        _alone("--transform", others, hint="the function decides what becomes of the columns")


def _alone(option: str, others: dict[str, bool], *, hint: str) -> None:
    for other, is_given in others.items():
        if is_given:
            raise ConfigError(option, expected=f"no {other}", found="both", hint=hint)


def _at_least(option: str, value: int, least: int) -> None:
    if value < least:
        raise ConfigError(option, expected=f"{least} or more", found=str(value))


def _one_of(option: str, value: str, allowed: tuple[str, ...]) -> None:
    if value not in allowed:
        raise ConfigError(option, expected=f"one of {', '.join(allowed)}", found=value)
