"""The model of a finished run in another format, once that is found to agree with training."""

from __future__ import annotations

import importlib.util
import shutil
from collections.abc import Callable
from pathlib import Path

from shared.durable import sync_file_system, sync_names
from shared.errors import ConfigError, ContractError, TargetError
from shared.layout import Side
from trainer.config import ExportConfig
from trainer.features.encode import Encoder
from trainer.quiet import import_keras
from trainer.rundir import EXPORT_NAMES, Run, load_run
from trainer.shards.dataset import Dataset, open_dataset, say_on_stderr
from trainer.target import check_free, workshop

_ONNX_PACKAGES = ("onnx", "onnxruntime", "tf2onnx")


def run(config: ExportConfig, *, say: Callable[[str], None] = say_on_stderr) -> Path:
    """Write a model in another format; return where it is.

    Args:
        config: the options.
        say: takes lines of prose.

    Raises:
        ShardfitError: an expected failure; what was in its place is then still there.
    """
    finished = load_run(config.run)
    if finished.spec.transform is not None:
        raise ConfigError(
            config.run,
            expected="a run whose features are derived",
            found=f"one made with --transform {finished.spec.transform.reference}",
            hint="its model takes a matrix, and Keras's own `model.export` exports it",
        )
    out = config.out or config.run / EXPORT_NAMES[config.format]
    is_onnx = config.format == "onnx"
    check_free(
        out, overwrite=config.overwrite, is_such=Path.is_file if is_onnx else _is_saved_model
    )
    if is_onnx:
        _require_packages()
    dataset = _open_dataset(config, finished)
    import_keras()
    import keras

    if keras.backend.backend() != "tensorflow":
        raise ConfigError(
            "KERAS_BACKEND",
            expected=f"tensorflow, which writes {config.format}",
            found=keras.backend.backend(),
            hint="a run of any backend can be exported with it",
        )
    from trainer.serving.onnx_file import serve_onnx, write_onnx
    from trainer.serving.parity import check_output, read_compared
    from trainer.serving.restore import load_model
    from trainer.serving.saved_model import serve_saved_model, write_saved_model

    write, serve = (write_onnx, serve_onnx) if is_onnx else (write_saved_model, serve_saved_model)
    model = load_model(config.run, finished, config.model)
    encoder = Encoder(finished.spec)
    table = read_compared(dataset.shards[Side.TRAIN][0], encoder)
    x = encoder.encode_columns(table)
    with workshop(out) as directory:
        written = directory / out.name
        try:
            _remove(written)  # what a killed run left
            write(model, finished, written)
            served = serve(written, finished, table, x)
            check_output(out, model.get_layer(finished.core), finished.spec, x, served)
            _publish(written, out)
        except OSError as error:
            raise TargetError(
                out, expected="to write the model", found=error.strerror or str(error)
            ) from None
        finally:
            _remove(written)
    say(f"{out}: agrees with training on {len(x):,} records")
    return out


def _is_saved_model(path: Path) -> bool:
    return (path / "saved_model.pb").is_file()


def _require_packages() -> None:
    missing = [name for name in _ONNX_PACKAGES if importlib.util.find_spec(name) is None]
    if missing:
        raise ConfigError(
            "--format onnx",
            expected=f"the packages {', '.join(_ONNX_PACKAGES)}",
            found=f"no {', no '.join(missing)}",
            hint=f"install them: python -m pip install {' '.join(missing)}",
        )


def _open_dataset(config: ExportConfig, finished: Run) -> Dataset:
    """Open the dataset whose records the model is tried on."""
    if config.dataset is not None:
        return open_dataset(config.dataset)
    path = Path(str(finished.options["dataset"]))
    try:
        return open_dataset(path)
    except ContractError as error:
        raise ContractError(
            error.where,
            expected=error.expected,
            found=error.found,
            hint="the exported model is tried on its records: give the place of the dataset, or of "
            "another one with the same columns, with --dataset",
        ) from None


def _publish(written: Path, out: Path) -> None:
    """Give a file or directory its name, in place of an earlier one."""
    sync_file_system(written.parent)
    if out.is_dir():
        _remove(out)
    written.replace(out)
    sync_names(out.parent)


def _remove(path: Path) -> None:
    if path.is_dir():
        shutil.rmtree(path)
    else:
        path.unlink(missing_ok=True)
