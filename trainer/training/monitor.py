"""The metric that tells the best epoch, and when to stop."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass

import keras

from shared.errors import ConfigError

_VALIDATION = "val_"


@dataclass(frozen=True)
class Monitor:
    """A metric.

    Attributes:
        name: as Keras's logs have it; `val_` marks the validation side.
        rises: whether more of it is better.
    """

    name: str
    rises: bool

    def score(self, metrics: Mapping[str, float]) -> float:
        """Return how good the metrics of an epoch are, the least the best; no number is worst."""
        loss = metrics.get(f"{_VALIDATION}loss", metrics["loss"])
        value = metrics[self.name]
        if not (math.isfinite(loss) and math.isfinite(value)):
            return math.inf
        return -value if self.rises else value


def find_monitor(core: keras.Model, name: str, *, has_validation: bool) -> Monitor:
    """Find a metric of a compiled model, on the validation side if there is one.

    Args:
        core: the model; its metrics have their variables.
        name: of the metric, with or without `val_`.
        has_validation: whether there is a validation side.

    Raises:
        ConfigError: there is no such metric, or it does not tell whether more of it is better.
    """
    name = name.removeprefix(_VALIDATION)
    known = list(core.get_metrics_result())
    if name not in known:
        raise ConfigError(
            f"--monitor {name}", expected=f"one of {', '.join(known)}", found="no such metric"
        )
    rises = False
    if name != "loss":
        # A compiled model holds its metrics in a container, which is a metric itself.
        found = [m for some in core.metrics for m in getattr(some, "metrics", [some])]
        # So Keras tells its own callbacks; it has no public name.
        directions = [getattr(m, "_direction", None) for m in found if m.name == name]
        if directions not in (["up"], ["down"]):
            raise ConfigError(
                f"--monitor {name}",
                expected="a metric of Keras, which tells whether more of it is better",
                found="one that does not",
            )
        rises = directions == ["up"]
    return Monitor(_VALIDATION * has_validation + name, rises)
