"""How the backend of Keras computes: deterministically, and in which precision."""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Iterator
from pathlib import Path

import keras

from shared.errors import ConfigError
from trainer.config import FitConfig

# It has the range of float32, so that losses need not be scaled; GPUs have it since 2020. On a
# processor float16 was a quarter slower than float32, and bfloat16 a sixth faster.
_MIXED = "mixed_bfloat16"
_PROCESSOR = Path("/proc/cpuinfo")
_INSTRUCTIONS = ("avx512_bf16", "amx_bf16", "bf16")


@contextlib.contextmanager
def prepared_backend(config: FitConfig, say: Callable[[str], None]) -> Iterator[None]:
    """Make the weights a function of the seed and the data, on the same machine.

    Args:
        config: the options.
        say: takes a line on what an option costs here.

    Raises:
        ConfigError: XLA is asked for, and the backend has none.
    """
    # Keras would hand the step to `torch.compile`, which compiled it anew for minutes.
    if keras.backend.backend() == "torch" and config.jit_compile == "on":
        raise ConfigError(
            "--jit-compile", expected="auto or off, since torch has no XLA", found="on"
        )
    keras.utils.set_random_seed(config.seed)
    # Keras has no XLA where operations are to be deterministic, since not all of TensorFlow's are.
    if keras.backend.backend() == "tensorflow" and config.jit_compile != "on":
        import tensorflow as tf

        tf.config.experimental.enable_op_determinism()
    if config.mixed_precision and not _has_gpu() and not _knows_bfloat16():
        say("--mixed-precision: this processor has no bfloat16, so training takes longer with it")
    before = keras.config.dtype_policy()
    keras.config.set_dtype_policy(_MIXED if config.mixed_precision else "float32")
    try:
        yield
    finally:
        keras.config.set_dtype_policy(before)


def _has_gpu() -> bool:
    name = keras.backend.backend()
    if name == "tensorflow":
        import tensorflow as tf

        return bool(tf.config.list_physical_devices("GPU"))
    if name == "jax":
        import jax

        return bool(jax.default_backend() != "cpu")
    import torch

    return bool(torch.cuda.is_available())


def _knows_bfloat16() -> bool:
    """Return whether the processor has instructions for it, or does not tell."""
    try:
        words = set(_PROCESSOR.read_text().split())
    except OSError:
        return True
    return not words.isdisjoint(_INSTRUCTIONS)
