"""Which columns become features, which label makes which task."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import date, timedelta
from pathlib import Path

import msgspec
import numpy as np
import pytest
from support import csv_bytes, write_dataset

from shared.block_profile import profile_block
from shared.errors import ConfigError
from shared.layout import Side
from shared.profile import Profile
from shared.values import read_text
from trainer.derive import parameters
from trainer.derive.notes import describe_left_out, describe_size
from trainer.derive.parameters import MAX_WEIGHTS, share_weights
from trainer.derive.rules import derive_features
from trainer.features.spec import (
    FeatureSpec,
    Hashed,
    Standard,
    Timestamp,
    Vocabulary,
)
from trainer.shards.dataset import Dataset, open_dataset
from trainer.shards.shard import Shard

RECORDS = 200


def dataset_of(table: dict[str, Sequence[str]]) -> Dataset:
    """Return the profile of a table, without shards to take a sample of."""
    header = list(table)
    records = list(zip(*table.values(), strict=True))
    profile = Profile.begin(header)
    profile.add(
        profile_block(header, read_text(csv_bytes(header, records), header, skip_header=True))
    )
    return Dataset(
        path=Path("none"),
        columns=profile.columns(),
        shards={Side.TRAIN: (Shard("none.csv", len(records)),)},
    )


def repeated(*values: str) -> list[str]:
    return [values[i % len(values)] for i in range(RECORDS)]


TABLE: dict[str, Sequence[str]] = {
    "id": [str(1000 + i) for i in range(RECORDS)],
    "name": [f"player {i}" for i in range(RECORDS)],
    "level": repeated("1", "2", "3", "4"),
    "power": [f"{i}.5" for i in range(RECORDS)],
    "gap": repeated("1.5", "2.5", "", "NA"),
    "class": repeated("mage", "knight", ""),
    "flag": repeated("true", "False", "NA"),
    "at": [str(date(2024, 1, 1) + timedelta(days=i % 50)) for i in range(RECORDS)],
    "mode": repeated("campaign"),
    "nothing": repeated(""),
    "": repeated("a", "b"),
    "clear": repeated("0", "1"),
}


def derive(label: str = "clear", **options: object) -> FeatureSpec:
    return derive_features(dataset_of(TABLE), label=label, **options)  # type: ignore[arg-type]


def test_each_type_of_column_becomes_its_kind_of_feature() -> None:
    kinds = {feature.column: type(feature) for feature in derive().features}

    assert kinds == {
        "level": Standard,
        "power": Standard,
        "gap": Standard,
        "class": Vocabulary,
        "flag": Vocabulary,
        "at": Timestamp,
        "": Vocabulary,
    }


def test_what_is_left_out_is_said_with_its_reason() -> None:
    assert describe_left_out(derive(drop=["power"]).left_out) == [
        "id: left out, it looks like an identifier (200 different values in 200 records)",
        "name: left out, it looks like an identifier (200 different values in 200 records)",
        "power: left out, as told",
        "mode: left out, it is constant (campaign)",
        "nothing: left out, it is empty",
    ]


@pytest.mark.parametrize(
    ("columns", "records", "megabytes", "told"),
    [
        (5000, 1000, 44, ""),
        (500, 10_000, 36, ""),
        (30, 100_000, 21, ""),
        (4000, 10_000, 350, "4,000 columns, 10,000 records a shard: this may take 1.8 GiB of "
                            "memory; less with shards of fewer records (sharder split "
                            "--rows-per-shard 1000)"),
        (20_000, 1000, 170, "20,000 columns, 1,000 records a shard: this may take 2.0 GiB of "
                            "memory; less with fewer columns (--drop)\n"
                            "20,000 columns: it takes minutes to save the model, twice"),
    ],
)  # fmt: skip
def test_a_table_that_may_not_fit_into_the_memory_that_is_promised_is_told(
    columns: int, records: int, megabytes: int, told: str
) -> None:
    number = Standard(column="", mean=0.0, std=1.0, fill=0.0, indicator=False)
    numbers = [msgspec.structs.replace(number, column=f"n{place}") for place in range(columns)]
    spec = msgspec.structs.replace(derive(), features=tuple(numbers))
    shards = [Shard(f"{place}.csv", records, megabytes * 10**6) for place in range(20)]

    assert "\n".join(describe_size(spec, shards)) == told


def test_what_looks_like_an_identifier_is_kept_if_told_so() -> None:
    spec = derive(keep=["id", "name", "mode"])
    kinds = {feature.column: type(feature) for feature in spec.features}
    assert (kinds["id"], kinds["name"]) == (Standard, Vocabulary)
    assert spec.left_out["mode"] == "it is constant (campaign)"


def test_numbers_of_all_different_values_are_no_identifiers() -> None:
    assert "power" in [feature.column for feature in derive().features]


def test_text_of_many_values_is_hashed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    records = [[f"word {i % 1500}", str(i % 2)] for i in range(3000)]
    dataset = open_dataset(write_dataset(tmp_path / "log", ["word", "clear"], records))
    spec = derive_features(dataset, label="clear")

    assert spec.features == (Hashed(column="word", bins=2048, embedding=50),)
    assert spec.categories[0].cardinality == 2049

    monkeypatch.setattr(parameters, "MAX_WEIGHTS", 20 * 2049)
    spec = derive_features(dataset, label="clear")
    assert spec.features == (Hashed(column="word", bins=2048, embedding=20),)


@pytest.mark.parametrize(
    ("columns", "bins", "embedding"), [(5, 1 << 14, 50), (60, 1 << 14, 8), (5000, 1 << 7, 8)]
)
def test_embeddings_of_many_columns_share_the_memory(
    columns: int, bins: int, embedding: int
) -> None:
    (name,) = (column for column in dataset_of(TABLE).columns if column.name == "name")
    many = msgspec.structs.replace(name, distinct=10_000)
    assert share_weights([(many, "hashed")] * columns) == (bins, embedding)
    assert columns * (bins + 1) * embedding <= MAX_WEIGHTS


def test_columns_of_x_are_numbers_indicators_cycles_and_categories() -> None:
    spec = derive()

    assert spec.names == [
        *("level", "power", "gap", "gap is missing"),
        *("at trend", "at sin(time of day)", "at cos(time of day)", "at sin(day of week)"),
        *("at cos(day of week)", "at sin(day of year)", "at cos(day of year)"),
        *("class", "flag", ""),
    ]
    assert spec.width == 14
    assert spec.numbers == slice(0, 11)
    assert [tuple(category) for category in spec.categories] == [
        (11, 4, "class", 1, 3),
        (12, 5, "flag", 1, 4),  # true, False, NA; missing and unknown
        (13, 4, "", 1, 3),
    ]


def test_zero_instead_of_a_missing_number_needs_no_indicator() -> None:
    (gap,) = [f for f in derive(missing="zero").numeric if f.column == "gap"]

    assert gap == Standard(column="gap", mean=2.0, std=0.5, fill=0.0, indicator=False)


def test_a_spec_survives_json() -> None:
    spec = derive(class_weight="balanced")

    assert msgspec.json.decode(msgspec.json.encode(spec), type=FeatureSpec) == spec


@pytest.mark.parametrize(
    ("values", "task", "classes"),
    [
        (["0", "1"], "binary", ("0", "1")),
        (["10", "9"], "binary", ("9", "10")),
        (["-1.5", "2.5"], "binary", ("-1.5", "2.5")),
        (["win", "loss"], "binary", ("loss", "win")),
        (["TRUE", "false", "true"], "binary", ("false", "true")),
        (["Yes", "no", "NO", "yes"], "binary", ("no", "yes")),
        (["N", "y"], "binary", ("n", "y")),
        (["off", "on", "On"], "binary", ("off", "on")),
        (["no", "Yes", "maybe"], "multiclass", ("Yes", "maybe", "no")),
        (["b", "a", "c"], "multiclass", ("a", "b", "c")),
        (["10", "9", "1"], "multiclass", ("1", "9", "10")),
        ([str(n) for n in range(21)], "regression", ()),
        (["0.5", "1.5", "2.5"], "regression", ()),
    ],
)
def test_the_task_follows_from_the_values_of_the_label(
    values: list[str], task: str, classes: tuple[str, ...]
) -> None:
    dataset = dataset_of({"x": repeated("1", "2", "5"), "y": repeated(*values)})
    label = derive_features(dataset, label="y").label

    assert (label.task, label.classes) == (task, classes)


def test_a_regression_is_standardised() -> None:
    label = derive("level", task="regression").label

    assert (label.mean, label.std) == (2.5, np.sqrt(1.25))


def test_balanced_weights_make_classes_weigh_the_same() -> None:
    dataset = dataset_of({"x": repeated("1", "2"), "y": repeated("a", "a", "a", "b")})
    label = derive_features(dataset, label="y", class_weight="balanced").label

    assert label.counts == (150, 50)
    assert label.weights == (200 / 300, 2.0)


def test_a_class_without_a_given_weight_weighs_one() -> None:
    assert derive(class_weight={"1": 3.0}).label.weights == (1.0, 3.0)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (
            {"label": "cleer"},
            "--label cleer: expected one of the columns id, name, level, power, gap, class, flag, "
            "at, mode, nothing, , clear, found no such column; is 'clear' meant?",
        ),
        ({"drop": ["xp"]}, "--drop xp: expected one of the columns id, "),
        ({"drop": ["id"], "keep": ["id"]}, "--keep id: found --drop id; give one of them"),
        ({"drop": ["clear"]}, "--drop clear: found the label; a label cannot be dropped"),
        ({"label": "mode"}, "found the same value (campaign) in every record"),
        ({"label": "nothing"}, "found no value at all"),
        ({"label": "gap"}, "found 100 records without one; remove these records"),
        ({"label": "at"}, "found timestamps"),
        ({"label": "level", "task": "binary"}, "expected two values for --task binary, found 4:"),
        ({"label": "", "task": "regression"}, "expected numbers for --task regression"),
        ({"label": "power", "class_weight": "balanced"}, "which has no classes"),
        ({"class_weight": {"2": 1.0}}, "--class-weight 2: expected one of the classes 0, 1"),
    ],
)
def test_what_cannot_be_learned_is_refused(options: dict[str, object], message: str) -> None:
    with pytest.raises(ConfigError) as error:
        derive(**options)  # type: ignore[arg-type]
    assert message in str(error.value)


def test_a_label_of_too_many_classes_is_refused() -> None:
    dataset = dataset_of({"x": ["1", "2"] * 1000, "y": [f"n{i % 1500}" for i in range(2000)]})
    with pytest.raises(ConfigError, match="found 1,500 different values; choose another label"):
        derive_features(dataset, label="y")


def test_a_table_without_features_is_refused() -> None:
    dataset = dataset_of({"mode": repeated("campaign"), "clear": repeated("0", "1")})
    with pytest.raises(ConfigError, match="no column is left to learn from: found mode: left out"):
        derive_features(dataset, label="clear")
