"""Lets go of TensorFlow's iterators while the interpreter can still run their threads.

Ctrl-C leaves a `fit` half-way, and with it an iterator whose TensorFlow thread calls Python. Where
that iterator lives until the interpreter is torn down, its thread can no more get the interpreter's
lock, and TensorFlow waits for it for ever: with Keras 3.15 and a `PyDataset` of any kind, 3 of 14
programs hung after their traceback. Two things keep it alive: that traceback, and the model, which
holds the iterator of its validation.
"""

from __future__ import annotations

import gc
import sys

from keras.src.trainers.epoch_iterator import EpochIterator


def let_go_of_iterators() -> None:
    """Drop the iterators of every `fit` that was left half-way."""
    for name in ("last_exc", "last_value", "last_traceback"):
        if hasattr(sys, name):
            setattr(sys, name, None)
    for found in gc.get_objects():
        # Not `isinstance`: it asks lazy modules for their class, which would load them.
        if issubclass(type(found), EpochIterator):
            found._epoch_iterator = None
            found._current_iterator = None
    gc.collect()
