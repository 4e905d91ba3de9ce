"""Imports Keras without the log of its backend's C++ parts, which would bury our few lines."""

from __future__ import annotations

import contextlib
import gc
import os
import sys
import tempfile
from collections.abc import Iterator


def import_keras() -> None:
    """Import Keras for the first time in this process, and TensorFlow, which has the text layers.

    TensorFlow writes some lines to descriptor 2 before its log level counts, and one when it finds
    no GPU.
    """
    if "keras" in sys.modules:
        return
    # 3 hides errors too: without a GPU there would be one. What matters comes as an exception.
    # The user's own setting goes first.
    os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")
    with _stderr_held():
        import keras  # noqa: F401
        import tensorflow as tf

        tf.config.list_physical_devices()
    # What was imported stays, so the garbage collector need not look through it again and again.
    gc.freeze()


@contextlib.contextmanager
def _stderr_held() -> Iterator[None]:
    """Hold back what is written to descriptor 2, and show it only where an exception comes."""
    sys.stderr.flush()
    stderr = os.dup(2)
    with tempfile.TemporaryFile() as held:
        os.dup2(held.fileno(), 2)
        try:
            yield
        except Exception:
            held.seek(0)
            os.write(stderr, held.read())
            raise
        finally:
            os.dup2(stderr, 2)
            os.close(stderr)
