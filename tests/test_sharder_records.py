"""What is a record is what Python's csv module says, wherever the blocks are cut."""

from __future__ import annotations

import csv
import io
import tempfile
from pathlib import Path

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from sharder.config import SplitConfig
from sharder.split import SplitResult, run
from shared.errors import SourceError
from shared.layout import Side, list_shards

HEADER = "a,b"
# `make soak` has time for larger tables.
LARGER = 20 if settings().max_examples > 100 else 1


def read_csv(text: str) -> list[list[str]]:
    """The oracle: the records of a text, blank lines left out."""
    return [row for row in csv.reader(io.StringIO(text, newline="")) if row]


def ends_inside_quotes(text: str) -> bool:
    """Whether what comes behind the text would belong to its last record."""
    return len(read_csv(text + "\nx,y\n")) == len(read_csv(text))


def split(text: str, directory: Path, **options: object) -> SplitResult:
    source = directory / "source.csv"
    source.write_bytes(text.encode())
    defaults = {"validate_fraction": 0.0, "max_rejected": 1.0, "workers": 2, **options}
    return run(SplitConfig(sources=(source,), out=directory / "out", **defaults))  # type: ignore[arg-type]


def shard_rows(result: SplitResult, side: Side = Side.TRAIN) -> list[list[str]]:
    rows: list[list[str]] = []
    if not result.manifest.sides[side].records:
        return rows
    for number, path in enumerate(list_shards(result.dataset, side)):
        header, *records = read_csv(path.read_bytes().decode())
        assert header == list(result.manifest.header)
        assert len(records) == result.manifest.shard_records(side, number)
        rows += records
    return rows


def rejected_rows(result: SplitResult) -> list[list[str]]:
    path = result.dataset / "rejected" / "records.csv"
    return read_csv(path.read_bytes().decode()) if path.exists() else []


# Fields and line ends of all kinds, and texts that are no CSV at all.
fields = st.one_of(
    st.text("ab é\u3000", max_size=3),
    st.sampled_from(
        ['""', '"x,y"', '"l\nf"', '"c\r\nr"', '"c\rr"', '"q""q"', '"日本"', "0012", "NA"]
    ),
    st.sampled_from(['5" nail', 'a"b,c"d', '"x"y', '"a"" b"', '"', '""""', "1.50", "2025-01-01"]),
)
records = st.builds(
    lambda row, end: ",".join(row) + end,
    st.lists(fields, min_size=1, max_size=3),
    st.sampled_from(["\n", "\r\n", "\r", "\n\n", "\r\n\r\n"]),
)
bodies = st.one_of(
    st.lists(records, min_size=1, max_size=8).map("".join),
    st.text('a",\n\r é', min_size=1, max_size=40),
)


@given(body=bodies, block_bytes=st.integers(1, 80), rows=st.integers(1, 3), end=st.booleans())
@example(body='x,"\r\n\r', block_bytes=1, rows=1, end=False)
@example(body='a"",b\n', block_bytes=2, rows=1, end=False)
@example(body='5""\n","\n', block_bytes=3, rows=1, end=False)
def test_every_record_that_csv_reads_is_in_a_shard_or_rejected(
    body: str, block_bytes: int, rows: int, end: bool
) -> None:
    text = f"{HEADER}\n{body}" + ("\n" if end else "")
    expected = read_csv(text)[1:]
    with tempfile.TemporaryDirectory() as directory:
        options = {"block_bytes": block_bytes, "rows_per_shard": rows}
        good = [row for row in expected if len(row) == 2]
        if ends_inside_quotes(text) or not good:
            with pytest.raises(SourceError):
                split(text, Path(directory), **options)
            assert not (Path(directory) / "out" / "log_quest").exists()
            return
        result = split(text, Path(directory), **options)
        assert shard_rows(result) == good
        assert rejected_rows(result) == [row for row in expected if len(row) != 2]
        assert result.manifest.records == len(expected)


@given(
    rows=st.lists(st.tuples(fields, fields).map(",".join), min_size=1, max_size=9),
    line_end=st.sampled_from(["\n", "\r\n"]),
    block_bytes=st.integers(1, 80),
)
def test_the_bytes_of_a_record_are_the_bytes_of_the_source(
    rows: list[str], line_end: str, block_bytes: int
) -> None:
    text = line_end.join([HEADER, *rows, ""])
    if ends_inside_quotes(text) or any(len(row) != 2 for row in read_csv(text)):
        return
    with tempfile.TemporaryDirectory() as directory:
        result = split(text, Path(directory), block_bytes=block_bytes, rows_per_shard=2)
        header = HEADER + line_end
        bodies = [
            path.read_bytes().decode().removeprefix(header)
            for path in list_shards(result.dataset, Side.TRAIN)
        ]
    assert header + "".join(bodies) == text


@given(
    n=st.integers(20, 80 * LARGER),
    block_bytes=st.integers(5, 600 * LARGER),
    workers=st.integers(1, 4),
    seed=st.integers(0, 2**64 - 1),
)
def test_blocks_and_workers_change_no_byte(
    n: int, block_bytes: int, workers: int, seed: int
) -> None:
    text = f"{HEADER}\n" + "".join(f'{i},"x{i}\n{i % 7}"\n' for i in range(n))
    # Not more blocks and shards than a few hundred: each takes milliseconds.
    block_bytes = max(block_bytes, len(text) // 200)
    options = {"rows_per_shard": max(7, n // 12), "validate_fraction": 0.3, "seed": seed}
    with tempfile.TemporaryDirectory() as one, tempfile.TemporaryDirectory() as other:
        first = split(text, Path(one), block_bytes=1 << 20, workers=1, **options)
        second = split(text, Path(other), block_bytes=block_bytes, workers=workers, **options)
        assert first.manifest.sides == second.manifest.sides
        assert first.manifest.columns == second.manifest.columns
        train, validate = shard_rows(second), shard_rows(second, Side.VALIDATE)
        assert sorted(train + validate, key=lambda row: int(row[0])) == read_csv(text)[1:]
        assert train == sorted(train, key=lambda row: int(row[0]))
