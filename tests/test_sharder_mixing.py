"""`sharder info --label --mixing`: how the values of a column are spread, told from the shards."""

from __future__ import annotations

from collections import Counter
from pathlib import Path
from random import Random

import pandas as pd
import pytest
from splitting import failure, sharder, write

from sharder.dataset.mixing import find_mixing
from shared.layout import Side, list_shards
from shared.manifest_file import load_manifest


@pytest.fixture(scope="module")
def home(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A log in the order of its times, split twice."""
    directory = tmp_path_factory.mktemp("mixing")
    random = Random(0)
    lines = ["at,power,rank,label,same\n"]
    for number in range(5000):
        power = f"{random.gauss(number / 1000, 3):.3f}" if number % 9 else ""
        rank = "n/a" if number > 4000 and number % 7 == 0 else f"{number // 500}"
        label = random.choices(["yes", "no", ""], [number, 5000, 900])[0]
        stamp = f"2025-04-{1 + number // 200:02d} {number % 200 // 10:02d}:00"
        lines.append(f"{stamp},{power},{rank} x,{label},1\n")
    write(directory, "".join(lines))
    split = ("split", "drop.csv", "--rows-per-shard", 100, "--out", ".")
    sharder(*split, "--name", "plain", cwd=directory)
    sharder(*split, "--name", "shuffled", "--shuffle", cwd=directory)
    return directory


def share_between(dataset: Path, column: str) -> float:
    """Return the share of the variance between shards, by the formula of the sums of squares."""
    parts = [
        pd.read_csv(path, dtype=str, keep_default_na=False)[column].rename("value").to_frame()
        for path in list_shards(dataset, Side.TRAIN)
    ]
    table = pd.concat(parts, keys=range(len(parts)), names=["shard", "row"])
    if column == "at":
        values = pd.to_datetime(table["value"]).astype("int64").to_frame() / 1e15
    elif column == "power":
        values = pd.to_numeric(table["value"]).dropna().to_frame()
    else:
        values = pd.get_dummies(table["value"]).astype(float)
    means = values.groupby("shard").transform("mean")
    total = ((values - values.mean()) ** 2).to_numpy().sum()
    return float(((means - values.mean()) ** 2).to_numpy().sum() / total)


@pytest.mark.parametrize("column", ["at", "power", "rank", "label"])
def test_the_share_of_variance_between_shards_shows_what_a_shuffle_does(
    home: Path, column: str
) -> None:
    shares = []
    for name in ("plain", "shuffled"):
        manifest = load_manifest(home / name)
        assert manifest is not None
        found = find_mixing(home / name, manifest, column)
        assert found.between == pytest.approx(share_between(home / name, column), rel=1e-6)
        shares.append((found.between or 0.0) / found.expected)
    assert shares[0] > 2
    assert 0.6 < shares[1] < 1.5


def test_info_prints_the_shares_of_a_label_and_how_mixed_the_shards_are(home: Path) -> None:
    options = ("--label", "label", "--mixing", "at", "--mixing", "same")
    told = sharder("info", "plain", *options, cwd=home).stdout.splitlines()
    for value in ("yes", "no", ""):
        counts = []
        for side in (Side.TRAIN, Side.VALIDATE):
            labels = Counter[str]()
            for path in list_shards(home / "plain", side):
                table = pd.read_csv(path, dtype=str, keep_default_na=False)
                labels.update(table["label"].tolist())
            counts += [f"{labels[value]:,}", f"{labels[value] / labels.total():.3%}"]
        assert [value or "(empty)", *counts] in [line.split() for line in told]
    manifest = load_manifest(home / "plain")
    assert manifest is not None
    # What an append that was cut off has added to the last shard is not of the dataset.
    last = list_shards(home / "plain", Side.TRAIN)[-1]
    with last.open("ab") as shard:
        shard.write(b"2025-01-01,1,1,maybe,x\n")
    assert sharder("info", "plain", *options, cwd=home).stdout.splitlines() == told
    train = manifest.sides[Side.TRAIN]
    expected = (len(train.bytes) - 1) / (train.records - 1)
    assert told[-2].split() == ["same", "-", f"{expected:.4%}", "-"]
    assert told[-3].split()[0] == "at"
    assert float(told[-3].split()[1].strip("%")) > 99
    message = failure("info", "plain", "--mixing", "speed", cwd=home)
    assert "speed: expected one of the columns at, power, rank, label, same" in message
    done = sharder("info", "plain", "--label", "label", "--json", cwd=home, status=2)
    assert "--json is for the profile" in done.stderr
