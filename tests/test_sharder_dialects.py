"""Dialects: what Python's csv module reads with one is in the shards, as plain CSV."""

from __future__ import annotations

import csv
import io
import tempfile
from pathlib import Path

import pytest
from hypothesis import example, given
from hypothesis import strategies as st
from splitting import failure, sharder, tree, write

from sharder.config import SplitConfig
from sharder.split import SplitResult, run
from shared.errors import SourceError
from shared.layout import Side, list_shards


def read(
    text: str, delimiter: str = ",", quote: str | None = '"', escape: str | None = None
) -> list[list[str]]:
    """The oracle: the records of a text, blank lines left out."""
    quoting = csv.QUOTE_MINIMAL if quote else csv.QUOTE_NONE
    reader = csv.reader(
        io.StringIO(text, newline=""),
        delimiter=delimiter,
        quotechar=quote,
        escapechar=escape,
        quoting=quoting,  # type: ignore[arg-type]
    )
    return [row for row in reader if row]


def split(source: Path, **options: object) -> SplitResult:
    defaults = {"validate_fraction": 0.0, "max_rejected": 1.0, "workers": 2, **options}
    out = source.parent / "out"
    return run(SplitConfig(sources=(source,), out=out, **defaults))  # type: ignore[arg-type]


def shard_rows(result: SplitResult) -> list[list[str]]:
    if not result.manifest.sides[Side.TRAIN].records:
        return []
    rows: list[list[str]] = []
    for path in list_shards(result.dataset, Side.TRAIN):
        header, *records = read(path.read_bytes().decode())
        assert header == list(result.manifest.header)
        rows += records
    return rows


@given(
    body=st.text(st.sampled_from("ab,;|'\"\\\r\n 表"), max_size=50),
    delimiter=st.sampled_from([";", "\t", "|", ",", " ", "a"]),
    quote=st.sampled_from(['"', "'", None]),
    escape=st.sampled_from([None, "\\", "b"]),
    encoding=st.sampled_from(["utf-8", "cp932", "utf-16-le"]),
    block_bytes=st.integers(1, 30),
)
@example(body='1,5;"x"\n', delimiter=";", quote='"', escape=None, encoding="utf-8", block_bytes=1)
@example(
    body='表|";,"\n1|2\n', delimiter="|", quote='"', escape=None, encoding="cp932", block_bytes=3
)
@example(
    body='"a"\\,"b\\"\n\\\\"\n',
    delimiter=",",
    quote='"',
    escape="\\",
    encoding="utf-8",
    block_bytes=1,
)
@example(
    body="1,a\\\r\n2,b\\\r3,c\\\n",
    delimiter=",",
    quote=None,
    escape="\\",
    encoding="utf-8",
    block_bytes=2,
)
def test_shards_have_what_python_reads_in_any_dialect(
    body: str,
    delimiter: str,
    quote: str | None,
    escape: str | None,
    encoding: str,
    block_bytes: int,
) -> None:
    dialect = (delimiter, quote, escape)
    name = "y" if delimiter == "," else "y,"  # which the shards must quote
    text = f"x{delimiter}{name}\n1{delimiter}2\n{body}\n"

    def is_whole(text: str) -> bool:
        return read(text + "z\n", *dialect) == [*read(text, *dialect), ["z"]]

    # What closes a record that the body has left open.
    text = next((text + end for end in ("", "\n", f"{quote}\n") if is_whole(text + end)), text)
    with tempfile.TemporaryDirectory() as directory:
        options = {
            "delimiter": delimiter,
            "quote_char": quote,
            "escape_char": escape,
            "encoding": encoding,
            "block_bytes": block_bytes,
            "rows_per_shard": 2,
        }
        source = write(Path(directory), text.encode(encoding))
        if not is_whole(text):
            with pytest.raises(SourceError, match=r"expected a (quote|line end) that closes"):
                split(source, **options)
            return
        records = read(text, *dialect)[1:]
        result = split(source, **options)
        assert result.manifest.header == ("x", name)
        assert shard_rows(result) == [row for row in records if len(row) == 2]
        rejected = tree(result.dataset / "rejected").get("records.csv", b"").decode(encoding)
        assert read(rejected, *dialect) == [row for row in records if len(row) != 2]


def test_records_that_need_no_quotes_keep_their_bytes(tmp_path: Path) -> None:
    write(
        tmp_path,
        'id\tname\r\n0012\t 1.50 \r\n7\t5" nail\r\n8\ta,b\r\n9\tx\ty\r\n' + "1\t2\r\n" * 500,
    )
    options = ("--delimiter", "tab", "--quote-char", "none", "--validate-fraction", 0)
    sharder("split", "drop.csv", "--out", ".", *options, cwd=tmp_path)
    shard = (tmp_path / "log_quest/splited/split_data_00000.csv").read_bytes()
    assert shard.startswith(b'id,name\r\n0012, 1.50 \r\n7,"5"" nail"\r\n8,"a,b"\r\n1,2\r\n')
    rejected = (tmp_path / "log_quest/rejected/records.csv").read_bytes()
    assert rejected == b"9\tx\ty\r\n"
    sharder("verify", "log_quest", cwd=tmp_path)


def test_a_source_without_a_header_gets_the_names_that_are_given(tmp_path: Path) -> None:
    write(tmp_path, "1,2\n3,4\n", "one.csv")
    write(tmp_path, "\ufeff5,6\n", "two.csv")
    options = ("--no-header", "--columns", 'a,"b,c"', "--validate-fraction", 0)
    sharder("split", "one.csv", "two.csv", "--out", ".", *options, cwd=tmp_path)
    assert tree(tmp_path / "log_quest" / "splited") == {
        "split_data_00000.csv": b'a,"b,c"\n1,2\n3,4\n5,6\n'
    }
    message = failure(
        *("split", "one.csv", "--out", "x", "--no-header", "--columns", "a,b,c"), cwd=tmp_path
    )
    assert "one.csv: record 1 (line 1, byte 0): 2 fields, the header has 3" in message


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (("--no-header",), "--no-header and --columns a,b,c go together"),
        (("--columns", "a,b"), "--no-header and --columns a,b,c go together"),
        (("--no-header", "--columns", "a,a"), "--columns: expected different names, found a, a"),
        (("--delimiter", "||"), "--delimiter: expected one ASCII character that can have this"),
        (("--delimiter", '"'), "--delimiter: expected one ASCII character that can have this"),
        (("--delimiter", "、"), "--delimiter: expected one ASCII character that can"),
        (("--quote-char", ","), "--quote-char: expected another one than the delimiter"),
        (("--escape-char", '"'), "--escape-char: expected another one than delimiter and quote"),
        (
            ("--escape-char", "\\\\"),
            "--escape-char: expected one ASCII character that can have this",
        ),
    ],
)
def test_a_dialect_that_cannot_be_is_wrong_usage(
    tmp_path: Path, options: tuple[str, ...], message: str
) -> None:
    write(tmp_path, "a\n1\n")
    done = sharder("split", "drop.csv", "--out", "x", *options, cwd=tmp_path, status=2)
    assert message in done.stderr


def test_one_column_that_looks_like_several_is_told(tmp_path: Path) -> None:
    write(tmp_path, "a;b\n1;2\n3;4\n")
    done = sharder("split", "drop.csv", "--out", ".", "--validate-fraction", 0, cwd=tmp_path)
    assert "drop.csv: one column, 'a;b'; if that is several, say --delimiter ';'" in done.stderr


def test_a_quote_left_open_is_named_in_any_dialect(tmp_path: Path) -> None:
    source = write(tmp_path, "a;b\n1;2\n3;'x\n")
    with pytest.raises(SourceError, match=r"record 2 \(line 3, byte 8\): expected a quote that"):
        split(source, delimiter=";", quote_char="'")


def test_quotes_that_the_shards_need_do_not_make_the_rest_of_the_source_smaller(
    tmp_path: Path,
) -> None:
    # 95 of 10,000 are bad, none near the end; in the shards a record is half as large again.
    good = "1,5;2,5\n"
    write(tmp_path, "a;b\n" + "bad\n" * 94 + good * 7000 + "bad\n" + good * 2905)
    options = ("--delimiter", ";", "--block-bytes", 4000, "--workers", 1)
    done = sharder("split", "drop.csv", "--out", "out", *options, "--max-rejected", 1, cwd=tmp_path)
    assert "95 rejected" in done.stderr
    sharder("split", "drop.csv", "--out", "data", *options, cwd=tmp_path)
