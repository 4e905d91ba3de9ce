"""Metrics of a whole side, added up batch by batch, in memory that does not grow.

A record counts by its weight, 1 if it has none. Shapes: B records, C classes. Sums are in float64.
"""

from __future__ import annotations

import math
from typing import Any, Protocol

import numpy as np
import numpy.typing as npt

from trainer.features.label import LabelSpec

Array = npt.NDArray[Any]

# A probability of 0 for what happened would cost infinitely much. Keras clips at the same.
_EPSILON = 1e-7
# Scores are counted in bins, for the area under the curve: those that agree in the first 13 binary
# digits of p, or of 1 - p where p is above one half, count as equal. 16 MB.
_SHIFT = 11
_CALIBRATION_BINS = 15  # as in the paper
_HALF = int(np.float32(0.5).view(np.uint32)) >> _SHIFT


class Metrics(Protocol):
    """Metrics that batches are added to."""

    def add(self, y: Array, output: Array, weights: Array | None = None) -> None:
        """Add a batch: labels and weights as in an encoded `Batch`, and the core's output."""

    def result(self) -> dict[str, float]:
        """Return the metrics of all that was added; at least one record counts."""


def make_metrics(label: LabelSpec) -> Metrics:
    """Return the metrics for a label."""
    if label.task == "binary":
        return BinaryMetrics()
    return MulticlassMetrics(label) if label.task == "multiclass" else RegressionMetrics(label)


class BinaryMetrics:
    """Areas under both curves, accuracy at one half, log-loss, Brier score, calibration error."""

    def __init__(self) -> None:
        """Begin with no record."""
        # Row 0 the negative records, row 1 the positive ones.
        self._bins = np.zeros((2, 2 * _HALF + 1), np.float64)
        self._records = 0
        self._right = 0.0
        self._loss = 0.0
        self._squares = 0.0
        # Records, sum of the scores, positive records, in each of the equal parts of [0, 1].
        self._calibration = np.zeros((3, _CALIBRATION_BINS), np.float64)

    def add(self, y: Array, output: Array, weights: Array | None = None) -> None:
        """Add labels (B,), probabilities (B, 1) and weights (B,)."""
        p = output.reshape(-1).astype(np.float32)
        positive = y > 0.5
        w = _or_ones(weights, len(y))
        for row, chosen in enumerate((~positive, positive)):
            self._bins[row] += np.bincount(_bin(p[chosen]), w[chosen], self._bins.shape[1])
        self._records += len(y)
        self._right += float(w @ ((p > 0.5) == positive))
        self._loss += _log_loss(np.where(positive, p, 1 - p), w)
        self._squares += float(w @ np.square(p.astype(np.float64) - positive))
        part = np.minimum((p * _CALIBRATION_BINS).astype(np.int64), _CALIBRATION_BINS - 1)
        for index, amounts in enumerate((w, w * p, w * positive)):
            self._calibration[index] += np.bincount(part, amounts, _CALIBRATION_BINS)

    def result(self) -> dict[str, float]:
        """Return the metrics; no area under a curve if all records are of one class.

        The area under precision and recall is the average precision: the precision at each score,
        weighted by the recall that is gained there. The calibration error is the expected one
        (Naeini, Cooper, Hauskrecht: Obtaining well calibrated probabilities using Bayesian binning,
        AAAI 2015), over 15 equal parts of [0, 1].
        """
        negative, positive = self._bins
        total = float(self._bins.sum())
        metrics = {"records": float(self._records)}
        pairs = float(negative.sum()) * float(positive.sum())
        if pairs:
            # For each positive record the negative ones below it, and half of those beside it.
            below = np.cumsum(negative) - negative / 2
            metrics["auc"] = float(below @ positive) / pairs
            # From the highest score down.
            found, hits = np.cumsum((negative + positive)[::-1]), np.cumsum(positive[::-1])
            precision = np.divide(hits, found, out=np.zeros_like(found), where=found > 0)
            metrics["pr_auc"] = float(precision @ positive[::-1]) / float(positive.sum())
        return metrics | {
            "accuracy": self._right / total,
            "log_loss": self._loss / total,
            "brier": self._squares / total,
            "calibration_error": float(np.abs(self._calibration[1] - self._calibration[2]).sum())
            / total,
            "positive_share": float(positive.sum()) / total,
        }


def _bin(p: npt.NDArray[np.float32]) -> npt.NDArray[np.int64]:
    """Return bins that rise with p, as fine near 1 as near 0."""
    # The bits of a positive float rise with its value; 1 - p is exact above one half.
    low = np.minimum(p, 1 - p).view(np.uint32).astype(np.int64) >> _SHIFT
    return np.where(p <= 0.5, low, 2 * _HALF - low)


class MulticlassMetrics:
    """Accuracy, accuracy averaged over the classes, log-loss."""

    def __init__(self, label: LabelSpec) -> None:
        """Begin with no record."""
        self._records = 0
        self._right = np.zeros(len(label.classes), np.float64)
        self._of_class = np.zeros(len(label.classes), np.float64)
        self._loss = 0.0

    def add(self, y: Array, output: Array, weights: Array | None = None) -> None:
        """Add one-hot labels (B, C), probabilities (B, C) and weights (B,)."""
        true = y.argmax(axis=1)
        classes = y.shape[1]
        w = _or_ones(weights, len(y))
        self._records += len(y)
        self._right += np.bincount(true, w * (output.argmax(axis=1) == true), classes)
        self._of_class += np.bincount(true, w, classes)
        self._loss += _log_loss(output[np.arange(len(true)), true], w)

    def result(self) -> dict[str, float]:
        """Return the metrics; the average is over the classes that occur."""
        total = float(self._of_class.sum())
        seen = self._of_class > 0
        return {
            "records": float(self._records),
            "accuracy": float(self._right.sum()) / total,
            "balanced_accuracy": float((self._right[seen] / self._of_class[seen]).mean()),
            "log_loss": self._loss / total,
        }


class RegressionMetrics:
    """MAE and RMSE in the label's own units, and the share of variance that is explained."""

    def __init__(self, label: LabelSpec) -> None:
        """Begin with no record."""
        self._std = label.std
        self._records = 0
        self._total = self._absolute = self._squares = self._sum = self._sum_squares = 0.0

    def add(self, y: Array, output: Array, weights: Array | None = None) -> None:
        """Add standardised labels (B,), predictions (B, 1) and weights (B,)."""
        true = y.astype(np.float64)
        errors = output.reshape(-1).astype(np.float64) - true
        w = _or_ones(weights, len(y))
        self._records += len(true)
        self._total += float(w.sum())
        self._absolute += float(w @ np.abs(errors))
        self._squares += float(w @ np.square(errors))
        # Standardised labels have a mean near 0, so these sums lose no digits.
        self._sum += float(w @ true)
        self._sum_squares += float(w @ np.square(true))

    def result(self) -> dict[str, float]:
        """Return the metrics; no R² if all labels are the same."""
        variance = self._sum_squares - self._sum**2 / self._total
        metrics = {
            "records": float(self._records),
            "mae": self._absolute / self._total * self._std,
            "rmse": math.sqrt(self._squares / self._total) * self._std,
        }
        if variance > 0:
            metrics["r2"] = 1 - self._squares / variance
        return metrics


def _or_ones(weights: Array | None, records: int) -> npt.NDArray[np.float64]:
    return np.ones(records) if weights is None else weights.astype(np.float64)


def _log_loss(p_of_truth: Array, weights: Array) -> float:
    return -float(weights @ np.log(np.clip(p_of_truth.astype(np.float64), _EPSILON, 1)))
