"""Shards become the arrays that the spec says."""

from __future__ import annotations

import math
import re
import time
from collections.abc import Sequence
from datetime import datetime
from statistics import NormalDist

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from support import csv_bytes

from shared.errors import ContractError
from trainer.features.encode import Batch, Encoder
from trainer.features.label import LabelSpec
from trainer.features.read import read_records
from trainer.features.spec import (
    Feature,
    FeatureSpec,
    Hashed,
    Log,
    Quantile,
    Standard,
    Text,
    Timestamp,
    Vocabulary,
)
from trainer.features.tokens import list_characters
from trainer.features.weights import weigh_classes

LABEL = LabelSpec(column="y", task="binary", reading="number", classes=("0", "1"))


def encode(
    header: Sequence[str],
    records: Sequence[Sequence[str]],
    *features: Feature,
    label: LabelSpec = LABEL,
) -> Batch:
    spec = FeatureSpec(features=features, label=label)
    return encode_csv(Encoder(spec), csv_bytes(header, records))


def encode_csv(encoder: Encoder, data: bytes) -> Batch:
    return encoder.encode(read_records(data, encoder.types, encoder.options))


def stamp(*, cyclical: bool = True, trend: bool = False, indicator: bool = False) -> Timestamp:
    return Timestamp(
        column="t",
        cyclical=cyclical,
        trend=trend,
        start=datetime(2024, 1, 1),
        end=datetime(2024, 1, 3),
        indicator=indicator,
    )


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
    batch = encode(["t", "y"], [[v, "0"] for v in values], stamp(indicator=True))
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


def test_a_trend_goes_from_start_to_end_and_no_further() -> None:
    values = ["2024-01-01", "2024-01-02 12:00", "2023-07-01", "2024-01-03", "2031-01-01", ""]
    batch = encode(["t", "y"], [[v, "0"] for v in values], stamp(cyclical=False, trend=True))

    assert batch.x.tolist() == [[-1.0], [0.5], [-1.0], [1.0], [1.0], [0.0]]


def test_a_logarithm_takes_both_signs() -> None:
    log = Log(column="a", unit=2.0, mean=0.5, std=4.0, fill=-6.0, indicator=False)
    values = [0.0, 1e-3, 10.0, -10.0, 1e300]
    batch = encode(["y", "a"], [["0", repr(value)] for value in [*values, math.nan]], log)

    expected = [math.copysign(math.log(1 + abs(v) / 2), v) for v in [*values, -6.0]]
    np.testing.assert_allclose(batch.x[:, 0] * 4 + 0.5, expected, rtol=1e-6, atol=1e-6)


def test_quantiles_become_those_of_a_normal_distribution() -> None:
    # A third of the records are 0, and the others lie evenly between 1 and 3.
    found = Quantile(column="a", quantiles=(0, 0, 0, 1, 1.5, 2, 2.5, 3), fill=1.0, indicator=False)
    batch = encode(["y", "a"], [["0", v] for v in ("-9", "0", "1", "1.25", "3", "99", "")], found)

    at = [NormalDist().inv_cdf((i + 0.5) / 8) for i in range(8)]
    zero = (at[0] + at[1] + at[2]) / 3
    expected = [zero, zero, at[3], (at[3] + at[4]) / 2, at[7], at[7], at[3]]
    np.testing.assert_allclose(batch.x[:, 0], expected, rtol=1e-6)


def tokens_of(text: str) -> list[str]:
    """Find the tokens as `trainer.features.tokens` describes them: words, and pairs of Japanese."""
    found: list[str] = []
    for run in re.findall(r"[0-9A-Za-z가-힣É]+|[ぁ-ゖァ-ヺー-ヿ一-鿿々]+", text):
        is_word = run[0] < "\u3000" or run[0] >= "가"
        pairs = [run[i : i + 2] for i in range(max(len(run) - 1, 1))]
        found += [re.sub("[A-Z]", lambda m: m[0].lower(), run)] if is_word else pairs
    return found


@given(st.lists(st.text("aB9 É,.'\n가힣クエー々語勇者😀", max_size=30), min_size=1, max_size=20))
def test_tokens_have_one_index_each_wherever_they_stand(texts: list[str]) -> None:
    text = Text(column="t", bins=1 << 20, tokens=4, embedding=1)
    batch = encode(["y", "t"], [["1", value] for value in texts], text)

    index_of: dict[str, float] = {}
    for row, value in zip(batch.x.tolist(), texts, strict=True):
        # The longest text has 30 characters, and 32 count.
        expected = tokens_of(value)[:4]
        assert [bool(index) for index in row] == [True] * len(expected) + [False] * (
            4 - len(expected)
        )
        for token, index in zip(expected, row, strict=False):
            assert index_of.setdefault(token, index) == index
    assert len(set(index_of.values())) >= len(index_of) - 1  # one collision in a million


def test_hashes_of_tokens_are_what_they_were() -> None:
    text = Text(column="t", bins=1000, tokens=4, embedding=1)
    batch = encode(["y", "t"], [["1", "Good day, クエスト"]], text)

    # By big integers: sum(number * base**i) * mix modulo 2**32, as a signed number.
    def bin_of(token: str) -> int:
        base, mix = 0x93D765DD, 0x9E3779B1
        total = (
            sum(number(c) * pow(base, i, 1 << 32) for i, c in enumerate(token)) * mix % (1 << 32)
        )
        return 1 + ((total - (total >> 31 << 32)) >> 8) % 1000

    def number(character: str) -> int:
        return 2 + list_characters().index(character)

    assert batch.x.tolist() == [[bin_of(t) for t in ("good", "day", "クエ", "エス")]]
    assert batch.x.tolist() == [[19, 610, 602, 494]]


def test_words_become_indexes_of_the_vocabulary() -> None:
    feature = Vocabulary(column="c", values=("mage", "騎士", 'say "hi",\nthen go'), embedding=1)
    values = ["騎士", "mage", "", "bard", 'say "hi",\nthen go', "NA"]

    batch = encode(["y", "c"], [["1", value] for value in values], feature)
    assert batch.x[:, 0].tolist() == [3, 2, 0, 1, 4, 1]


def test_hashed_text_is_what_keras_would_hash_it_to() -> None:
    values = ["Q-00001", "クエスト", "", "Q-00001"]

    batch = encode(
        ["y", "q"], [["1", v] for v in values], Hashed(column="q", bins=100, embedding=1)
    )
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
            LabelSpec(column="y", task="binary", reading="boolean", classes=("no", "yes")),
            ["Yes", "NO", "yes"],
            [1, 0, 1],
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

    assert weigh_classes(batch.y, label).tolist() == [3.0, 0.5]


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
        ("b,y\n1\n", "record 1: expected 2 fields, as in the header, found 1"),
        ("", "expected a CSV, found Empty CSV file"),
    ],
)  # fmt: skip
def test_a_shard_that_does_not_fit_is_refused(data: str, message: str) -> None:
    with pytest.raises(ContractError) as error:
        encode_csv(Encoder(FeatureSpec(features=(NUMBER,), label=LABEL)), data.encode())
    assert message in str(error.value)


def test_a_shard_that_is_not_utf8_is_refused() -> None:
    spec = FeatureSpec(features=(Vocabulary(column="a", values=("x",), embedding=1),), label=LABEL)
    with pytest.raises(ContractError, match="column 'a': expected UTF-8 text"):
        encode_csv(Encoder(spec), "a,y\n①,1\n".encode("cp932"))
    with pytest.raises(ContractError, match="header: expected UTF-8 text, found 'utf-8' codec"):
        encode_csv(Encoder(spec), "①,y\nx,1\n".encode("cp932"))


def test_a_timestamp_that_does_not_fit_is_refused() -> None:
    with pytest.raises(ContractError, match=r"column 't': expected timestamps.*soon"):
        encode(["t", "y"], [["soon", "1"]], stamp(indicator=False))


def test_a_shard_of_21_numbers_takes_a_few_milliseconds() -> None:
    rng = np.random.default_rng(0)
    names = [f"n{i}" for i in range(21)]
    records = [[*(f"{v:.4f}" for v in row), "1"] for row in rng.normal(size=(1000, 21))]
    features = [Standard(column=n, mean=0.0, std=1.0, fill=0.0, indicator=True) for n in names]
    encoder = Encoder(FeatureSpec(features=tuple(features), label=LABEL))
    data = csv_bytes([*names, "y"], records)
    seconds = []
    for _ in range(20):
        start_s = time.process_time()
        encode_csv(encoder, data)
        seconds.append(time.process_time() - start_s)
    # 1 ms on one core; ten times that would be a loop over values.
    assert min(seconds) < 0.005
