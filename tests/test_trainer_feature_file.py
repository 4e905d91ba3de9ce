"""What the columns became is written so that a person can change it, and taken back."""

from __future__ import annotations

import random
import tempfile
import tomllib
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from support import write_dataset

from shared.errors import ConfigError
from trainer.derive.edits import ENCODINGS
from trainer.derive.feature_file import render_features
from trainer.derive.rules import derive_features
from trainer.features.encode import Encoder
from trainer.features.spec import FeatureSpec, Hashed, Log, Quantile, Standard, Text, Vocabulary
from trainer.shards.dataset import Dataset, open_dataset
from trainer.shards.read import read_shard

HEADER = ["id", "a.b", "gold", "class", "note", "at", "mode", "clear"]
WORDS = ["won", "lost", "the", "match", "again", "騎士の剣", "why", "not"]


@pytest.fixture(scope="module")
def dataset(tmp_path_factory: pytest.TempPathFactory) -> Dataset:
    """Records of every kind of column; gold has a heavy tail, note is prose, mode is constant."""
    rng = random.Random(0)
    records = [
        [
            str(number),
            "" if rng.random() < 0.1 else f"{rng.gauss(5, 1):.2f}",
            f"{rng.lognormvariate(0, 2):.3f}",
            rng.choice(["mage", "knight", "bard"]),
            " ".join(rng.choices(WORDS, k=rng.randint(1, 9))),
            f"2024-0{rng.randint(1, 9)}-11 0{rng.randint(0, 9)}:30",
            "story",
            str(rng.randrange(2)),
        ]
        for number in range(4000)
    ]
    return open_dataset(write_dataset(tmp_path_factory.mktemp("file") / "log", HEADER, records))


def derive(dataset: Dataset, text: str, label: str = "clear") -> FeatureSpec:
    with tempfile.TemporaryDirectory() as directory:
        path = Path(directory) / "f.toml"
        path.write_text(text)
        return derive_features(dataset, label=label, features=path)


def test_encodings_follow_from_profile_and_sample(dataset: Dataset) -> None:
    spec = derive_features(dataset, label="clear")

    assert {f.column: str(f.__struct_config__.tag) for f in spec.features} == {
        "a.b": "standard",
        "gold": "log",
        "class": "vocabulary",
        "note": "text",
        "at": "timestamp",
    }
    assert list(spec.left_out) == ["id", "mode"]


def test_a_file_that_was_not_edited_gives_the_same_features(dataset: Dataset) -> None:
    spec = derive_features(dataset, label="clear")
    text = render_features(spec, dataset.columns)

    assert derive(dataset, text).features == spec.features
    assert list(tomllib.loads(text)["columns"]) == HEADER[:-1]
    assert "# text; 3 different values; 0 missing; such as '" in text
    assert "# left out: it is constant (story)" in text
    assert max(map(len, text.splitlines())) <= 100


# Whatever a CSV may have in its header and its fields.
ANYTHING = st.text(st.characters(exclude_categories=["Cs"], exclude_characters="\0\r"), max_size=6)


@settings(max_examples=30)
@given(
    st.lists(ANYTHING, min_size=1, max_size=3, unique=True),
    st.lists(st.tuples(ANYTHING, st.floats(-1e300, 1e300)), min_size=3, max_size=20),
)
def test_any_name_and_any_value_come_back(
    names: list[str], values: list[tuple[str, float]]
) -> None:
    header = ["label", *(f"{name}{i}" for i, name in enumerate(names)), "number"]
    records = [
        [str(i % 2), *[f"{text}{i % 3}"] * len(names), repr(number)]
        for i, (text, number) in enumerate(values)
    ]
    with tempfile.TemporaryDirectory() as directory:
        opened = open_dataset(write_dataset(Path(directory) / "log", header, records))
        spec = derive_features(opened, label="label", keep=header[1:])
        text = render_features(spec, opened.columns)
        assert derive(opened, text, "label").features == spec.features


def feature(spec: FeatureSpec, column: str) -> object:
    return next(f for f in spec.features if f.column == column)


@pytest.mark.parametrize(
    ("text", "column", "expected"),
    [
        ('[columns.id]\nencoding = "hashed"\nbins = 64', "id",
         Hashed(column="id", bins=64, embedding=17)),
        ('[columns.class]\nencoding = "vocabulary"\nvalues = ["mage"]\nembedding = 9', "class",
         Vocabulary(column="class", values=("mage",), embedding=9)),
        ("[columns.note]\ntokens = 4\nbins = 100", "note",
         Text(column="note", tokens=4, bins=100, embedding=21)),
        ('[columns."a.b"]\nmean = 1\nstd = 2.5\nindicator = false', "a.b",
         Standard(column="a.b", fill=1.0, indicator=False, mean=1.0, std=2.5)),
        ("[columns.gold]\nunit = 1\nmean = 0.0\nstd = 1\nfill = -1.0", "gold",
         Log(column="gold", fill=-1.0, indicator=False, unit=1.0, mean=0.0, std=1.0)),
        ('[columns.gold]\nencoding = "quantile"\nquantiles = [0, 1, 1.5]', "gold",
         Quantile(column="gold", fill=1.0, indicator=False, quantiles=(0.0, 1.0, 1.5))),
    ],
)  # fmt: skip
def test_what_the_file_says_of_a_column_counts(
    dataset: Dataset, text: str, column: str, expected: object
) -> None:
    spec = derive(dataset, text)
    assert feature(spec, column) == expected
    others = derive_features(dataset, label="clear").features
    assert [f for f in spec.features if f.column != column] == [
        f for f in others if f.column != column
    ]


def test_columns_are_left_out_and_kept_as_the_file_says(dataset: Dataset) -> None:
    spec = derive(dataset, '[columns.gold]\nencoding = "drop"\nunit = 3\n[columns.id]\n')

    assert [f.column for f in spec.features] == ["id", "a.b", "class", "note", "at"]
    assert spec.left_out["gold"] == "as told"


def test_a_time_can_be_a_trend_alone(dataset: Dataset) -> None:
    spec = derive(dataset, "[columns.at]\ncyclical = false\nstart = 2024-01-01T00:00:00")
    x = read_shard(next(iter(dataset.shards.values()))[0], Encoder(spec)).x
    column = x[:, spec.names.index("at trend")]

    assert [name for name in spec.names if name.startswith("at ")] == ["at trend"]
    assert -1 < column.min() < -0.8
    assert column.max() == 1


def test_heavy_tails_are_gone_once_they_are_scaled(dataset: Dataset) -> None:
    for text in ("", '[columns.gold]\nencoding = "quantile"'):
        spec = derive(dataset, text)
        x = read_shard(next(iter(dataset.shards.values()))[0], Encoder(spec)).x
        gold = x[:, spec.names.index("gold")]
        assert abs(gold.mean()) < 0.1
        assert gold.std() == pytest.approx(1, abs=0.1)
        assert abs(gold).max() < 5


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("[columns.gold", "f.toml: expected TOML in UTF-8, found "),
        ("[column.gold]", "f.toml, key 'column': expected only tables [columns.NAME]"),
        ("columns = 3", "expected a table [columns.NAME], found 3"),
        ("[columns]\ngold = 'log'", "column 'gold': expected a table [columns.gold], found 'log'"),
        ("[columns.glod]", "column 'glod': expected one of the columns id, a.b, gold, class, note, "
                           "at, mode, clear, found no such column"),
        ("[columns.clear]", "column 'clear': expected features, found the label"),
        ("[columns.a.b]", "key 'b': expected a value, found a table; a name with a dot needs "
                          'quotes: [columns."a.b"]'),
        ('[columns.gold]\nencoding = "lgo"', "column 'gold', key 'encoding': expected one of "
         "standard, log, quantile, timestamp, vocabulary, hashed, text, drop, found 'lgo'"),
        ('[columns.gold]\nencoding = ["log"]', "found ['log']"),
        ('[columns.class]\nencoding = "log"', "column 'class', key 'encoding': expected vocabulary "
         "or hashed or text or drop for a column of type text, found 'log'"),
        ('[columns.gold]\nencoding = "standard"\nunit = 2', "column 'gold', key 'unit': expected "
         "one of the keys of encoding 'standard', fill, indicator, mean, std, found one of log; "
         "remove it: what is left out is derived from the profile"),
        ("[columns.note]\nmax = 3", "key 'max': expected one of the keys of encoding 'text', bins, "
                                    "tokens, embedding, found no key of any encoding"),
        ('[columns.gold]\nstd = "wide"', "key 'std': expected float, found 'wide'"),
        ("[columns.gold]\nstd = 0", "key 'std': expected float > 0.0, found 0"),
        ("[columns.gold]\nmean = nan", "key 'mean': expected finite numbers, found nan"),
        ("[columns.note]\nbins = 1.5", "key 'bins': expected int, found 1.5"),
        ("[columns.note]\nembedding = 0", "key 'embedding': expected int >= 1, found 0"),
        ('[columns.class]\nvalues = ["a", "b", "a"]', "key 'values': expected different values, "
                                                      "found 'a' more than once"),
        ('[columns.note]\nencoding = "vocabulary"', "column 'note': expected few different values "
                                                    "for a vocabulary, found "),
        ('[columns.gold]\nencoding = "quantile"\nquantiles = [2, 1]', "key 'quantiles': expected "
                                                                      "numbers in ascending order"),
        ("[columns.at]\nend = 2023-01-01T00:00:00", "key 'end': expected a time not before the "
                                                    "start, 2024-01-11 00:30:00, found 2023-01-01"),
        ("[columns.at]\ncyclical = false\ntrend = false", "or encoding = 'drop', found none"),
        ("[columns.at]\nstart = 2023-01-01", "key 'start': expected datetime, found "),
        ('[columns.mode]\nencoding = "quantile"', "for a column of type text, found 'quantile'"),
    ],
)  # fmt: skip
def test_what_cannot_be_meant_is_refused_with_its_place(
    dataset: Dataset, text: str, message: str
) -> None:
    with pytest.raises(ConfigError) as error:
        derive(dataset, text)
    assert message in str(error.value)
    assert "f.toml" in str(error.value)


def test_the_keys_are_those_of_the_encodings() -> None:
    assert {name: str(kind.__struct_config__.tag) for name, kind in ENCODINGS.items()} == {
        name: name for name in ENCODINGS
    }
