"""A large shard is read block by block, and becomes what it does in one."""

from __future__ import annotations

import csv
import io
import random
import re
import sys
from pathlib import Path

import numpy as np
import pytest
import xxhash
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from measuring import run_measured

import trainer.shards.read
from shared.errors import ContractError
from trainer.features.encode import Encoder
from trainer.features.label import LabelSpec
from trainer.features.spec import FeatureSpec, Hashed, Standard, Text, Vocabulary
from trainer.shards.read import read_shard
from trainer.shards.shard import Shard

WHOLE = (1 << 30,)
SPEC = FeatureSpec(
    features=(
        Standard(column="n", mean=1.5, std=3.0, fill=1.5, indicator=True),
        Vocabulary(column="v", values=("x", "x\r\ny", '"'), embedding=1),
        Hashed(column="h", bins=64, embedding=1),
        Text(column="t", bins=64, tokens=4, embedding=1),
    ),
    label=LabelSpec(column="y", task="binary", reading="text", classes=("no", "yes")),
    weight="w",
)
HEADER = ("t", "n", "unused", "v", "h", "w", "y")

_text = st.text(alphabet='ax",\n\r 語', max_size=12)
_record = st.tuples(
    _text,
    st.sampled_from(["1", "-2.5", "", "NA", " 7e3"]),
    _text,
    st.sampled_from(["x", "x\r\ny", '"', "other", ""]),
    _text,
    st.sampled_from(["1", "0.25"]),
    st.sampled_from(["no", "yes"]),
)


def save(path: Path, text: str) -> Shard:
    data = text.encode()
    path.write_bytes(data)
    records = sum(1 for row in csv.reader(io.StringIO(text, newline="")) if row) - 1
    return Shard(str(path), records, len(data), xxhash.xxh3_128_hexdigest(data))


@settings(
    max_examples=150,
    suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow],
)
@given(
    records=st.lists(_record, max_size=30),
    end=st.sampled_from(["\n", "\r\n", "\r\n\r\n"]),
    blocks=st.sampled_from([(16,), (64, 256), (300,)]),
)
def test_a_shard_in_blocks_becomes_what_it_does_in_one(
    records: list[tuple[str, ...]],
    end: str,
    blocks: tuple[int, ...],
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    text = io.StringIO()
    writer = csv.writer(text, lineterminator=end, quoting=csv.QUOTE_ALL)
    writer.writerow(HEADER)
    writer.writerows(records)
    shard = save(tmp_path / "shard.csv", text.getvalue())
    encoder = Encoder(SPEC)
    found = []
    for sizes in (WHOLE, blocks):
        monkeypatch.setattr(trainer.shards.read, "BLOCK_BYTES", sizes)
        found.append(read_shard(shard, encoder).arrays)

    assert [array.shape for array in found[0]] == [(len(records), 8), *[(len(records),)] * 2]
    for one, many in zip(*found, strict=True):
        assert np.array_equal(one.view(np.uint32), many.view(np.uint32))


@pytest.mark.parametrize(
    ("record", "message"),
    [
        ("a,1,,x,h,1,yes,7", "record 201: expected 7 fields, as in the header, found 8"),
        ("a,much,,x,h,1,yes", "column 'n': expected a number, .*, found 'much'"),
        ("a,1,,x,h,-1,yes", "record 201, column 'w': expected a weight: .*, found -1"),
        ("a,1,,x,h,1,maybe", "column 'y': expected one of no, yes, .*, found 'maybe'"),
    ],
)
@pytest.mark.parametrize("blocks", [WHOLE, (100,)])
def test_an_error_in_a_block_names_what_it_would_in_one(
    record: str,
    message: str,
    blocks: tuple[int, ...],
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    lines = [",".join(HEADER), *["a,1,,x,h,1,yes"] * 200, record, *["b,2,,x,h,1,no"] * 50]
    shard = save(tmp_path / "shard.csv", "\n".join(lines))
    monkeypatch.setattr(trainer.shards.read, "BLOCK_BYTES", blocks)

    with pytest.raises(ContractError, match=re.escape(f"{shard.path}, ") + message):
        read_shard(shard, Encoder(SPEC))


@pytest.mark.parametrize("change", ["b,3", "b,x", 'b,"'])
def test_a_change_is_found_before_what_it_breaks(
    change: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    lines = [",".join(HEADER), *["b,2,,x,h,1,no"] * 500]
    shard = save(tmp_path / "shard.csv", "\n".join(lines))
    lines[300] = lines[300].replace("b,2", change)
    Path(shard.path).write_text("\n".join(lines))
    monkeypatch.setattr(trainer.shards.read, "BLOCK_BYTES", (100,))

    with pytest.raises(ContractError, match="the shard has changed"):
        read_shard(shard, Encoder(SPEC))


def test_a_large_shard_is_not_parsed_at_once(tmp_path: Path) -> None:
    rng = random.Random(0)
    words = [f"word{number}" for number in range(500)]
    line = " ".join(rng.choices(words, k=4000))
    # 60 MB of 2,000 texts, which become 32 numbers each.
    text = "t,y\n" + "".join(
        f"{number} {line},{'no' if number % 2 else 'yes'}\n" for number in range(2000)
    )
    shard = save(tmp_path / "shard.csv", text)
    peaks = []
    for blocks in (WHOLE, trainer.shards.read.BLOCK_BYTES):
        command = (sys.executable, __file__, shard.path, shard.records, *blocks)
        done = run_measured(command, tmp_path)
        assert (done.status, done.stdout) == (0, "(2000, 32)"), done.stderr
        peaks.append(done.peak)
    assert peaks[1] < peaks[0] - 100, peaks


def main(path: str, records: str, *blocks: str) -> None:
    """Read a shard of texts, and print the shape of X."""
    trainer.shards.read.BLOCK_BYTES = tuple(map(int, blocks))  # type: ignore[assignment]
    features = (Text(column="t", bins=64, tokens=32, embedding=1),)
    spec = FeatureSpec(features=features, label=SPEC.label)
    sys.stdout.write(str(read_shard(Shard(path, int(records)), Encoder(spec)).x.shape))


if __name__ == "__main__":
    main(*sys.argv[1:])
