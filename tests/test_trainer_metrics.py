"""Metrics that are added up batch by batch are those of all records at once."""

from __future__ import annotations

import numpy as np
import pytest

from trainer.features.label import LabelSpec
from trainer.metrics import Array, Metrics, make_metrics

BINARY = LabelSpec(column="y", task="binary", reading="text", classes=("a", "b"))
CLASSES = LabelSpec(column="y", task="multiclass", reading="text", classes=("a", "b", "c"))
NUMBER = LabelSpec(column="y", task="regression", reading="number", mean=50.0, std=4.0)


def add_in_batches(metrics: Metrics, y: Array, output: Array) -> dict[str, float]:
    for start in range(0, len(y), 300):
        metrics.add(y[start : start + 300], output[start : start + 300])
    return metrics.result()


def exact_auc(y: Array, p: Array) -> float:
    positive, negative = p[y == 1], p[y == 0]
    wins = (positive[:, None] > negative).sum() + (positive[:, None] == negative).sum() / 2
    return float(wins / (len(positive) * len(negative)))


def average_precision(y: Array, p: Array) -> float:
    """The mean, over the positive records, of the precision among those that score as high."""
    return float(np.mean([y[p >= score].mean() for score in p[y == 1]]))


# Rare positives crowd the scores at 0, rare negatives at 1.
@pytest.mark.parametrize("offset", [0.0, -9.0, 9.0])
def test_the_area_under_the_curve_is_that_of_all_pairs(offset: float) -> None:
    rng = np.random.default_rng(0)
    logit = rng.normal(offset, 2, 4000)
    y = (rng.random(4000) < 1 / (1 + np.exp(-logit))).astype(np.float32)
    p = (1 / (1 + np.exp(-logit + rng.normal(0, 1, 4000)))).astype(np.float32)

    found = add_in_batches(make_metrics(BINARY), y, p[:, None])
    assert found["auc"] == pytest.approx(exact_auc(y, p), abs=1e-4)
    assert found["pr_auc"] == pytest.approx(average_precision(y, p), abs=1e-3)
    parts = np.minimum(np.floor(p * 15), 14)
    gaps = [abs(p[parts == part].sum() - y[parts == part].sum()) for part in range(15)]
    assert found["calibration_error"] == pytest.approx(sum(gaps) / 4000, rel=1e-4)
    assert found["records"] == 4000
    assert found["positive_share"] == pytest.approx(y.mean())
    assert found["accuracy"] == pytest.approx(((p > 0.5) == y).mean())
    assert found["brier"] == pytest.approx(np.square(p - y).mean(), rel=1e-5)
    loss = -np.log(np.clip(np.where(y == 1, p, 1 - p), 1e-7, 1)).mean()
    assert found["log_loss"] == pytest.approx(loss, rel=1e-5)


def test_equal_scores_tell_nothing() -> None:
    y = np.array([0, 1, 1, 0], np.float32)

    assert make_and_add(BINARY, y, np.full((4, 1), 0.3))["auc"] == 0.5


def test_one_class_alone_has_no_curve() -> None:
    assert "auc" not in make_and_add(BINARY, np.ones(3, np.float32), np.full((3, 1), 0.3))


def make_and_add(label: LabelSpec, y: Array, output: Array) -> dict[str, float]:
    return add_in_batches(make_metrics(label), y, output)


def test_classes_count_alike_in_the_balanced_accuracy() -> None:
    y = np.eye(3, dtype=np.float32)[[0, 0, 0, 1]]
    output = np.array([[0.8, 0.1, 0.1], [0.8, 0.1, 0.1], [0.1, 0.8, 0.1], [0.2, 0.5, 0.3]])

    assert make_and_add(CLASSES, y, output) == {
        "records": 4.0,
        "accuracy": 0.75,
        "balanced_accuracy": pytest.approx((2 / 3 + 1) / 2),
        "log_loss": pytest.approx(-np.log([0.8, 0.8, 0.1, 0.5]).mean()),
    }


def test_errors_are_in_the_units_of_the_label() -> None:
    y = np.array([-1, 0, 1], np.float32)  # 46, 50, 54
    output = np.array([[-1], [0.5], [0.5]])  # 46, 52, 52

    assert make_and_add(NUMBER, y, output) == {
        "records": 3.0,
        "mae": pytest.approx(4 / 3),
        "rmse": pytest.approx(np.sqrt(8 / 3)),
        "r2": pytest.approx(1 - 8 / 32),
    }
