"""How numbers with heavy tails are scaled, and what is needed for it from a sample of them.

Shapes: R records, K knots.
"""

from __future__ import annotations

from collections.abc import Sequence
from statistics import NormalDist
from typing import NamedTuple

import numpy as np
import numpy.typing as npt

Float64 = npt.NDArray[np.float64]

# No measured reason: a part has 1.6 % of the records.
QUANTILES = 65


class LogScale(NamedTuple):
    """What a `trainer.features.spec.Log` needs."""

    unit: float
    mean: float
    std: float


def signed_log(numbers: Float64, unit: Float64 | float) -> Float64:
    """Return sign(x) * log(1 + |x| / unit): like x / unit near 0, like a logarithm far from it."""
    return np.asarray(np.sign(numbers) * np.log1p(np.abs(numbers) / unit))


def fit_log(sample: Float64, unit: float | None = None) -> LogScale | None:
    """Return the scale for numbers like these, shape (R,); None if these are all the same.

    The unit is where the logarithm begins. If there are negative numbers, half of all are below it,
    since a smaller one would tear the numbers around 0 apart; else a twentieth.
    """
    sizes = np.abs(sample[sample != 0])
    if not len(sizes):
        return None
    if unit is None:
        unit = float(np.quantile(sizes, 0.5 if sample.min() < 0 else 0.05))
    scaled = signed_log(sample, unit)
    mean, std = float(scaled.mean()), float(scaled.std())
    return LogScale(unit, mean, std) if std > 0 and np.isfinite(std) else None


def unscale(mean: float, unit: float) -> float:
    """Return the number whose signed logarithm this is."""
    return float(np.sign(mean) * np.expm1(abs(mean)) * unit)


def is_heavy_tailed(sample: Float64) -> bool:
    """Tell whether the logarithm takes heavy tails away: it halves the kurtosis of these numbers.

    The kurtosis is the mean fourth power of a standardised number, 3 for a normal distribution.
    """
    found = fit_log(sample)
    if found is None:
        return False
    before = kurtosis(sample)
    return before > 2 * kurtosis(signed_log(sample, found.unit))


def kurtosis(numbers: Float64) -> float:
    """Return the mean fourth power of the standardised numbers; 0 if these are all the same."""
    deviations = numbers - numbers.mean()
    std = deviations.std()
    return float(np.mean((deviations / std) ** 4)) if std > 0 else 0.0


def fit_quantiles(sample: Float64) -> tuple[float, ...] | None:
    """Return numbers that divide others like these into equal parts; None if all are the same."""
    if not len(sample):
        return None
    found = np.quantile(sample, np.linspace(0, 1, QUANTILES))
    return tuple(map(float, found)) if found[0] < found[-1] else None


def knots(quantiles: Sequence[float]) -> tuple[Float64, Float64]:
    """Return the different quantiles, and what they are mapped to; shape (K,) each.

    The i-th of n is mapped to the quantile of the standard normal distribution at (i + 1/2) / n,
    and one that stands there several times to the mean of theirs. Between them the mapping is
    linear, and constant beyond the first and the last.
    """
    normal = NormalDist()
    targets = [normal.inv_cdf((i + 0.5) / len(quantiles)) for i in range(len(quantiles))]
    x, place, times = np.unique(
        np.array(quantiles, np.float64), return_inverse=True, return_counts=True
    )
    return x, np.bincount(place, weights=targets) / times
