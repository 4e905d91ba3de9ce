"""Shards become the arrays that the spec says."""

from __future__ import annotations

import math
import time
from collections.abc import Sequence

import numpy as np
import pytest
from support import csv_bytes

from shared.errors import ContractError
from trainer.encode import Batch, Encoder, weigh
from trainer.features import Feature, FeatureSpec, Hashed, Standard, Timestamp, Vocabulary
from trainer.label import LabelSpec

LABEL = LabelSpec(column="y", task="binary", reading="number", classes=("0", "1"))


def encode(
    header: Sequence[str],
    records: Sequence[Sequence[str]],
    *features: Feature,
    label: LabelSpec = LABEL,
) -> Batch:
    spec = FeatureSpec(features=features, label=label)
    return Encoder(spec).encode_csv(csv_bytes(header, records))


def test_numbers_are_standardised_and_gaps_filled_and_told() -> None:
    number = Standard(column="a", mean=10.0, std=2.0, fill=10.0, indicator=True)
    values = ["14", "", "NA", "inf", "9.0", "1e1"]
    batch = encode(["y", "a"], [["0", value] for value in values], number)

    assert batch.x.dtype == np.float32
    assert batch.x.tolist() == [[2, 0], [0, 1], [0, 1], [0, 1], [-0.5, 0], [0, 0]]


def test_a_gap_can_count_as_zero() -> None:
    number = Standard(column="a", mean=10.0, std=2.0, fill=0.0, indicator=False)

    assert encode(["y", "a"], [["0", ""]], number).x.tolist() == [[-5.0]]


def test_small_deviations_from_a_large_mean_are_kept() -> None:
    number = Standard(column="a", mean=1_700_000_000.0, std=1.0, fill=0.0, indicator=False)

    assert encode(["a", "y"], [["1700000001.25", "1"]], number).x.tolist() == [[1.25]]


def test_timestamps_become_cycles() -> None:
    values = ["2024-01-01", "2024-01-01 06:00", "2024-12-31T12:00:00.999", "", "NULL"]
    batch = encode(["t", "y"], [[v, "0"] for v in values], Timestamp(column="t", indicator=True))
    # 2024-01-01 was a Monday, 2024-12-31 a Tuesday, and the last of 366 days.
    week, year = 2 * math.pi / 7, 2 * math.pi * 365 / 365.2425
    expected: list[list[float]] = [
        [0, 0, 1, 0, 1, 0, 1],
        [0, 1, 0, 0, 1, 0, 1],
        [0, 0, -1, math.sin(week), math.cos(week), math.sin(year), math.cos(year)],
        [1, 0, 0, 0, 0, 0, 0],
        [1, 0, 0, 0, 0, 0, 0],
    ]
    np.testing.assert_allclose(batch.x, expected, atol=1e-6)


def test_words_become_indexes_of_the_vocabulary() -> None:
    feature = Vocabulary(column="c", values=("mage", "騎士", 'say "hi",\nthen go'))
    values = ["騎士", "mage", "", "bard", 'say "hi",\nthen go', "NA"]

    batch = encode(["y", "c"], [["1", value] for value in values], feature)
    assert batch.x[:, 0].tolist() == [3, 2, 0, 1, 4, 1]


def test_hashed_text_is_what_keras_would_hash_it_to() -> None:
    values = ["Q-00001", "クエスト", "", "Q-00001"]

    batch = encode(["y", "q"], [["1", v] for v in values], Hashed(column="q", bins=100))
    # What keras.layers.Hashing(101, mask_value="") gives.
    assert batch.x[:, 0].tolist() == [11, 84, 0, 11]


def test_columns_are_found_by_name_and_others_skipped() -> None:
    number = Standard(column="", mean=0.0, std=1.0, fill=0.0, indicator=False)
    batch = encode(["other", "y", ""], [["x", "1", "5"]], number)

    assert (batch.x.tolist(), batch.y.tolist()) == ([[5.0]], [1.0])


NUMBER = Standard(column="a", mean=0.0, std=1.0, fill=0.0, indicator=False)


@pytest.mark.parametrize(
    ("label", "values", "expected"),
    [
        (LABEL, ["1", "0", "1.0"], [1, 0, 1]),
        (
            LabelSpec(column="y", task="binary", reading="boolean", classes=("false", "true")),
            ["True", "FALSE"],
            [1, 0],
        ),
        (
            LabelSpec(column="y", task="multiclass", reading="text", classes=("a", "b", "NA")),
            ["b", "NA"],
            [[0, 1, 0], [0, 0, 1]],
        ),
        (
            LabelSpec(column="y", task="regression", reading="number", mean=10.0, std=4.0),
            ["12", "10"],
            [0.5, 0],
        ),
    ],
)
def test_labels_are_encoded_for_their_task(
    label: LabelSpec, values: list[str], expected: list[object]
) -> None:
    batch = encode(["a", "y"], [["1", value] for value in values], NUMBER, label=label)

    assert batch.y.dtype == np.float32
    assert batch.y.tolist() == expected


def test_records_weigh_what_their_class_weighs() -> None:
    label = LabelSpec(
        column="y", task="binary", reading="text", classes=("lost", "won"), weights=(0.5, 3.0)
    )
    batch = encode(["a", "y"], [["1", "won"], ["1", "lost"]], NUMBER, label=label)

    assert weigh(batch.y, label).tolist() == [3.0, 0.5]


@pytest.mark.parametrize(
    ("data", "message"),
    [
        ("a,y\n1,0\nabc,1\n", "column 'a': expected a number, as in every record that was "
                              "profiled, found 'abc'"),
        ("a,y\n1,0\n1,2\n", "column 'y': expected one of 0, 1, as in every record"),
        ("a,y\n1,\n", "column 'y': expected a number"),
        ("a,y\n1,0\n1\n", "record 2: expected 2 fields, as in the header, found 1"),
        ("a,y\n1,0,7\n", "record 1: expected 2 fields, as in the header, found 3"),
        ("b,y\n1,0\n", "header: expected the column 'a', found only 'b', 'y'"),
        ("", "expected a CSV, found Empty CSV file"),
    ],
)  # fmt: skip
def test_a_shard_that_does_not_fit_is_refused(data: str, message: str) -> None:
    with pytest.raises(ContractError) as error:
        Encoder(FeatureSpec(features=(NUMBER,), label=LABEL)).encode_csv(data.encode())
    assert message in str(error.value)


def test_a_shard_that_is_not_utf8_is_refused() -> None:
    spec = FeatureSpec(features=(Vocabulary(column="a", values=("x",)),), label=LABEL)
    with pytest.raises(ContractError, match="column 'a': expected UTF-8 text"):
        Encoder(spec).encode_csv("a,y\n①,1\n".encode("cp932"))


def test_a_timestamp_that_does_not_fit_is_refused() -> None:
    with pytest.raises(ContractError, match=r"column 't': expected timestamps.*soon"):
        encode(["t", "y"], [["soon", "1"]], Timestamp(column="t", indicator=False))


def test_a_shard_of_21_numbers_takes_a_few_milliseconds() -> None:
    rng = np.random.default_rng(0)
    names = [f"n{i}" for i in range(21)]
    records = [[*(f"{v:.4f}" for v in row), "1"] for row in rng.normal(size=(1000, 21))]
    features = [Standard(column=n, mean=0.0, std=1.0, fill=0.0, indicator=True) for n in names]
    encoder = Encoder(FeatureSpec(features=tuple(features), label=LABEL))
    data = csv_bytes([*names, "y"], records)
    seconds = []
    for _ in range(20):
        start_s = time.perf_counter()
        encoder.encode_csv(data)
        seconds.append(time.perf_counter() - start_s)
    # 1 ms on one core; ten times that would be a loop over values.
    assert min(seconds) < 0.005
