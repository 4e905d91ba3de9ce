"""How many steps the backend makes in one call: the weights are the same, to the last bit."""

from __future__ import annotations

import keras

from shared.errors import ConfigError
from trainer.config import FitConfig

# A call costs about a millisecond of processor time beside its steps, so one of 16 costs little.
_MOST = 16
# Records times weights that each is multiplied by: 0.1 s of a processor. Ctrl-C waits for the end
# of a call, so there is room for a machine that is ten times slower.
_CALL = 1 << 30
# Tracing several steps takes up to a second more.
_WORTH_TRACING = 1000


def set_steps_per_execution(
    core: keras.Model, config: FitConfig, *, batch_size: int, steps: int
) -> None:
    """Set how many steps of a compiled core model are one call of the backend.

    Args:
        core: the core model.
        config: the options.
        batch_size: records in a batch.
        steps: number of batches in the whole training.

    Raises:
        ConfigError: the backend makes one step a call.
    """
    if config.steps_per_execution is not None:
        core.steps_per_execution = config.steps_per_execution
    if keras.backend.backend() == "torch":
        if core.steps_per_execution > 1:
            raise ConfigError(
                "--steps-per-execution",
                expected="1, since torch makes one step a call",
                found=str(core.steps_per_execution),
            )
    # What a step of somebody's own model costs is not known, but by whoever made it.
    elif config.steps_per_execution is None and config.model is None:
        core.steps_per_execution = choose_steps(core, batch_size=batch_size, steps=steps)


def choose_steps(core: keras.Model, *, batch_size: int, steps: int) -> int:
    """Return how many steps of the default model are to be one call of the backend.

    Args:
        core: the model; of an embedding, a record takes a row only.
        batch_size: records in a batch.
        steps: number of batches in the whole training.
    """
    multiplied: int = sum(
        layer.count_params()
        for layer in core.layers
        if not isinstance(layer, keras.layers.Embedding)
    )
    if steps < _WORTH_TRACING:
        return 1
    return max(1, min(_MOST, _CALL // (batch_size * multiplied)))
