"""A raw CSV is read in pieces, with the records of Python's csv module."""

from __future__ import annotations

import csv
import gzip
import io
from pathlib import Path

import pyarrow as pa
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from support import spell

import trainer.predicting.stream
from shared.dialect import PLAIN, Dialect
from shared.errors import SourceError
from trainer.predicting.stream import stream_records

TEXT = {"a": pa.string(), "b": pa.string()}

_field = st.text(alphabet='x",\n\r é語', max_size=12).map(
    lambda text: '"' + text.replace('"', '""') + '"'
) | st.text(alphabet='x" é語', max_size=6).filter(lambda text: not text.startswith('"'))
_record = st.tuples(_field, _field, st.sampled_from(["\n", "\r\n", "\n\n"]))


_any_text = st.text(alphabet="x,;|'\"\\\t\r\n é語", max_size=12)


def read(
    path: Path, types: dict[str, pa.DataType] = TEXT, dialect: Dialect = PLAIN
) -> list[tuple[str, ...]]:
    records = []
    for batch in stream_records(path, types, dialect=dialect):
        records += list(zip(*(batch.column(name).to_pylist() for name in types), strict=True))
    return records


@settings(
    max_examples=200,
    suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow],
)
@given(records=st.lists(_record, max_size=30), block=st.sampled_from([64, 100, 256, 1 << 20]))
def test_records_are_those_of_python(
    records: list[tuple[str, str, str]],
    block: int,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    text = "a,b\n" + "".join(f"{a},{b}{end}" for a, b, end in records)
    path = tmp_path / "source.csv"
    path.write_bytes(text.encode())
    monkeypatch.setattr(trainer.predicting.stream, "BLOCK_BYTES", (block, 1 << 20))

    expected = [tuple(row) for row in csv.reader(io.StringIO(text, newline="")) if row]
    assert read(path) == expected[1:]


@settings(
    max_examples=200,
    suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow],
)
@given(
    records=st.lists(st.tuples(_any_text, _any_text), max_size=30),
    dialect=st.sampled_from(
        [Dialect(";"), Dialect("|", "'"), Dialect(",", '"', "\\"), Dialect("\t", None, "\\")]
    ),
    block=st.sampled_from([64, 100, 256, 1 << 20]),
)
def test_records_are_those_of_python_in_any_dialect(
    records: list[tuple[str, str]],
    dialect: Dialect,
    block: int,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    path = tmp_path / "source.csv"
    path.write_text(spell([("a", "b"), *records], dialect), newline="", encoding="utf-8")
    monkeypatch.setattr(trainer.predicting.stream, "BLOCK_BYTES", (block, 1 << 20))
    assert read(path, dialect=dialect) == records


def test_a_record_longer_than_a_block_is_kept_whole(tmp_path: Path) -> None:
    long = "line\r\n" * 500_000  # 3 MB in one field
    path = tmp_path / "source.csv"
    path.write_text(f'a,b\n1,x\n2,"{long}"\n3,z\n', newline="")

    assert read(path) == [("1", "x"), ("2", long), ("3", "z")]


def test_columns_are_found_by_name(tmp_path: Path) -> None:
    path = tmp_path / "source.csv"
    path.write_text("\ufeffb,extra,a\n1,2,3\n")

    assert read(path) == [("3", "1")]


def test_a_header_alone_gives_no_record(tmp_path: Path) -> None:
    path = tmp_path / "source.csv"
    path.write_text("a,b\n")

    assert read(path) == []


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("a,b\n1,2\n\n3\n", "source.csv, record 2: expected 2 fields, as in the header, found 1"),
        ("a,b\n" + "1,2\n" * 400_000 + "1,2,3\n", "record 400001: expected 2 fields"),
        ("a,c\n1,2\n", "source.csv, header: expected the column 'b', found only 'a', 'c'"),
        ("a,b,b\n1,2,3\n", "source.csv: expected one column 'b', found more"),
        ("", "source.csv: expected a header, found an empty file"),
        ("b;a\n1;2\n", "expected the columns 'a', 'b', found only 'b;a'; say --delimiter ';'"),
        ("a\tb,c\td\n", "found only 'a\\tb', 'c\\td'"),
        ("b\tc\ta\n", "say --delimiter tab"),
        ("1,2\n3,4\n", "found only '1', '2'; its first line must be the header"),
        ("a\0,b\0\n", "found other bytes in its header; if it is packed, unpack it; else convert"),
        ('a,b\n1,"' + "x\n" * 20_000_000, "expected records of at most 16 MiB, found a longer one"),
    ],
)
def test_a_source_that_does_not_fit_is_refused(tmp_path: Path, text: str, message: str) -> None:
    path = tmp_path / "source.csv"
    path.write_text(text)
    with pytest.raises(SourceError) as error:
        read(path)
    assert message in str(error.value)


def test_a_field_that_is_no_number_is_told_by_record_and_column(tmp_path: Path) -> None:
    path = tmp_path / "source.csv"
    path.write_text("z,a,b\n" + "1,2,3\n" * 300_000 + "1,2,many\n")
    with pytest.raises(
        SourceError, match=r"record 300001, column 'b': expected a number, found 'many'"
    ):
        read(path, {"a": pa.string(), "b": pa.float64()})


def test_text_that_is_not_utf8_is_told_by_record_and_column(tmp_path: Path) -> None:
    path = tmp_path / "source.csv"
    path.write_bytes(b"a,b\n1,2\n1,\x87\x40\n")
    hint = "record 2, column 'b': expected UTF-8 text, .*; .* iconv -f ENCODING -t UTF-8"
    with pytest.raises(SourceError, match=hint):
        read(path)
    for text in (b"\xff\xfea\0,\0b\0\n\0", gzip.compress(b"a,b\n1,2\n"), "名,b\n".encode("cp932")):
        path.write_bytes(text)
        with pytest.raises(
            SourceError, match=r"CSV in UTF-8, found other bytes in its header; .*iconv"
        ):
            read(path)
