"""A run on disk: the directory of `--out`, and `run.json` in it, written last.

runs/quest/
├── run.json            options, features, metrics, versions; without it the run is unfinished
├── model.keras         takes the raw columns
├── features.toml       what the columns became; can be edited and given to another run
├── history.csv         metrics of each epoch
├── tensorboard/        the same for `tensorboard --logdir`
├── saved_model/        what `trainer export` wrote, if nothing else was asked for;
├── model.onnx          of the same model
└── checkpoints/        the state to go on from: of a finished run, that at its end
"""

from __future__ import annotations

import shutil
from collections.abc import Iterable
from pathlib import Path
from typing import Any

import msgspec

from shared.durable import refuse_link, sync_file_system, write_whole
from shared.errors import ConfigError, ContractError, TargetError
from shared.lock import LOCK_NAME
from shared.reading import decode_json, read_plain
from trainer.features.spec import FeatureSpec

FORMAT = 1

RUN_NAME = "run.json"
MODEL_NAME = "model.keras"
FEATURES_NAME = "features.toml"
HISTORY_NAME = "history.csv"
TENSORBOARD_NAME = "tensorboard"
CHECKPOINTS_NAME = "checkpoints"
EXPORT_NAMES = {"saved_model": "saved_model", "onnx": "model.onnx"}
# While it is made.
TEMPORARY_NAME = "tmp-model.keras"
# In the order of removal. A run that is replaced must not go on, so its checkpoints go first;
# without its `run.json` it is unfinished.
_NAMES = (
    CHECKPOINTS_NAME,
    RUN_NAME,
    *EXPORT_NAMES.values(),
    MODEL_NAME,
    FEATURES_NAME,
    HISTORY_NAME,
    TENSORBOARD_NAME,
)


# Mostly vocabularies, of at most 1000 values a column.
_MAX_RUN_BYTES = 256 << 20


class Run(msgspec.Struct, frozen=True, kw_only=True):
    """What `run.json` holds.

    Attributes:
        format: version of this file's form.
        options: of `trainer fit`, by name.
        spec: the features and the label.
        core: name of the layer of `model.keras` that takes the matrix X.
        inputs: name of the input of `model.keras` for each column.
        records: number of training records.
        validation_records: number of validation records.
        shards: number of shards of these two sides.
        epochs: number of epochs that were trained.
        best_epoch: the one whose weights were kept, from 1.
        metrics: of that epoch, as Keras gives them; `val_` marks the validation side.
        seconds: of training, validation included.
        wait_fraction: share of the training side's time that was waiting for data.
        advice: what would make it less; empty if it hardly waits.
        peak_memory_bytes: of this process and its workers together, at most.
        versions: of Python and of the libraries that matter.
    """

    format: int = FORMAT
    options: dict[str, Any]
    spec: FeatureSpec
    core: str
    inputs: dict[str, str]
    records: int
    validation_records: int
    shards: int
    epochs: int
    best_epoch: int
    metrics: dict[str, float]
    seconds: float
    wait_fraction: float = 0.0
    advice: str = ""
    peak_memory_bytes: int
    versions: dict[str, str]


def check_transform(run: Run, path: Path, given: str | None) -> None:
    """Refuse to import the function that a run names, which may be anybody's, untold.

    Raises:
        ConfigError: `--transform` names none, or another one.
    """
    found = run.spec.transform.reference if run.spec.transform else None
    if given != found:
        raise ConfigError(
            path,
            expected=f"--transform {found}" if found else "no --transform",
            found=f"--transform {given}" if given else "none",
            hint="the run was made with it; give it if you trust its code" if found else "",
        )


def check_target(out: Path) -> None:
    """Refuse a directory that is something else than a run, or that leads out of itself.

    Raises:
        TargetError: it has other things in it, or cannot be read.
    """
    for name in (CHECKPOINTS_NAME, TENSORBOARD_NAME):
        refuse_link(out / name)
    try:
        found = {entry.name for entry in out.iterdir()} if out.exists() else set()
    except OSError as error:
        raise TargetError(out, found=error.strerror or str(error)) from None
    if found and found.isdisjoint((*_NAMES, TEMPORARY_NAME, LOCK_NAME)):
        raise TargetError(
            out,
            expected="a new or empty directory",
            found=f"one that holds {min(found)!r}",
            hint="give another --out",
        )


def discard_run(out: Path) -> None:
    """Remove a run from its directory, but for a new model that is being written there.

    Raises:
        OSError: it cannot be removed.
    """
    _remove(out, _NAMES)


def discard_results(out: Path) -> None:
    """Remove what tells of the model that is there, or was made from it, before it is replaced.

    Raises:
        OSError: it cannot be removed.
    """
    _remove(out, (RUN_NAME, *EXPORT_NAMES.values()))


def _remove(out: Path, names: Iterable[str]) -> None:
    for name in names:
        path = out / name
        if path.is_dir():
            shutil.rmtree(path)
        else:
            path.unlink(missing_ok=True)


def save_run(run: Run, out: Path) -> None:
    """Write `run.json`, whole or not at all, once all that it tells of is on the disk.

    Raises:
        TargetError: it cannot be written.
    """
    text = msgspec.json.format(msgspec.json.encode(run), indent=1)
    try:
        sync_file_system(out)
        write_whole(out / RUN_NAME, text + b"\n")
    except OSError as error:
        raise TargetError(
            out / RUN_NAME,
            expected="to write what the run was",
            found=error.strerror or str(error),
            hint="see to it, then run the same command again",
        ) from None


def load_run(path: Path) -> Run:
    """Read the `run.json` of a run's directory.

    Raises:
        ContractError: there is no finished run, or one of another format.
    """
    file = path / RUN_NAME
    try:
        run = decode_json(read_plain(file, at_most=_MAX_RUN_BYTES), Run, file, expected="a run")
    except OSError as error:
        raise ContractError(
            file,
            expected="a finished run",
            found=error.strerror or str(error),
            hint="give the directory that `trainer fit` printed",
        ) from None
    if run.format != FORMAT:
        raise ContractError(file, expected=f"format {FORMAT}", found=f"format {run.format}")
    return run
