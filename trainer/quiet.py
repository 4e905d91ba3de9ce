"""Imports Keras without the log of its backend's C++ parts, which would bury our few lines."""

from __future__ import annotations

import contextlib
import gc
import importlib.util
import os
import sys
import tempfile
from collections.abc import Callable, Iterator

from shared.errors import ConfigError
from trainer.versions import find_backend

_BACKENDS = ("tensorflow", "jax", "torch")

Closing = Callable[[Callable[[], object]], contextlib.AbstractContextManager[None]]


@contextlib.contextmanager
def _closing(close: Callable[[], object]) -> Iterator[None]:
    try:
        yield
    finally:
        close()


def import_keras(closing: Closing = _closing) -> None:
    """Import Keras for the first time in this process, and TensorFlow, which has the text layers.

    TensorFlow writes some lines to descriptor 2 before its log level counts, and one when it finds
    no GPU.

    Args:
        closing: makes a context that calls a function at its end: what was held back is no more.

    Raises:
        ConfigError: its backend is none that trains, or is not installed.
    """
    if "keras" in sys.modules:
        return
    backend = find_backend()
    if backend not in _BACKENDS:
        raise ConfigError("KERAS_BACKEND", expected=f"one of {', '.join(_BACKENDS)}", found=backend)
    if importlib.util.find_spec(backend) is None:
        raise ConfigError(
            "KERAS_BACKEND",
            expected=f"the package {backend}",
            found="none",
            hint=f"install it: python -m pip install {backend}",
        )
    # As it was found, wherever it was: in Keras's own file, too.
    os.environ["KERAS_BACKEND"] = backend
    # 3 hides errors too: without a GPU there would be one. What matters comes as an exception.
    # The user's own setting goes first.
    os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")
    with _stderr_held(closing):
        import keras  # noqa: F401
        import tensorflow as tf

        tf.config.list_physical_devices()
    # What was imported stays, so the garbage collector need not look through it again and again.
    gc.freeze()


@contextlib.contextmanager
def _stderr_held(closing: Closing) -> Iterator[None]:
    """Hold back what is written to descriptor 2, and show it only where an exception comes."""
    sys.stderr.flush()
    stderr = os.dup(2)
    try:
        with tempfile.TemporaryFile() as held, closing(lambda: os.dup2(stderr, 2)):
            os.dup2(held.fileno(), 2)
            try:
                yield
            except Exception:
                held.seek(0)
                os.write(stderr, held.read())
                raise
    finally:
        os.close(stderr)
