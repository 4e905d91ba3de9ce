"""Encodings: what Python reads with `open(encoding=…)` is in the shards, the rest is rejected."""

from __future__ import annotations

import csv
import gzip
import tempfile
from pathlib import Path

import pytest
from hypothesis import example, given
from hypothesis import strategies as st
from splitting import failure, sharder, tree, write

from sharder.config import SplitConfig
from sharder.split import SplitResult, run
from shared.layout import Side, list_shards

# Searched as bytes, and decoded first.
SEARCHED = ("utf-8", "cp932", "shift_jis", "euc_jp", "gb18030", "big5", "euc_kr", "latin-1")
DECODED = ("utf-16", "utf-16-le", "utf-16-be", "utf-32", "iso2022_jp", "iso2022_jp_2", "cp500")

# Characters whose second byte is | or \\ in cp932, or a quote or a comma in ISO-2022-JP.
FIELDS = (
    "ポ表―ソ",
    "亜唖、。",
    "①㈱髙",
    "ｱｲｳ",
    "日本",
    "é",
    "Ω",
    "ab",
    "",
    '"l\nf"',
    '"c\r\nr"',
    '"q"",x"',
)


def split(source: Path, **options: object) -> SplitResult:
    defaults = {"validate_fraction": 0.0, "max_rejected": 1.0, "workers": 2, **options}
    out = source.parent / "out"
    return run(SplitConfig(sources=(source,), out=out, **defaults))  # type: ignore[arg-type]


def shard_rows(result: SplitResult) -> list[list[str]]:
    rows: list[list[str]] = []
    for path in list_shards(result.dataset, Side.TRAIN):
        with path.open(encoding="utf-8", newline="") as file:
            rows += [row for row in csv.reader(file) if row][1:]
    return rows


@given(
    rows=st.lists(st.tuples(*[st.sampled_from(FIELDS)] * 2), min_size=1, max_size=6),
    encoding=st.sampled_from(SEARCHED + DECODED),
    line_end=st.sampled_from(["\n", "\r\n", "\r"]),
    ended=st.booleans(),
    block_bytes=st.integers(1, 60),
)
def test_shards_have_what_python_reads_in_any_encoding(
    rows: list[tuple[str, str]], encoding: str, line_end: str, ended: bool, block_bytes: int
) -> None:
    text = line_end.join(["n,a,b", *(f"1,{a},{b}" for a, b in rows)]) + line_end * ended
    codec = "cp932" if encoding == "shift_jis" else encoding
    with tempfile.TemporaryDirectory() as directory:
        source = write(Path(directory), text.encode(codec, "ignore"))
        with source.open(encoding=codec, newline="") as file:
            expected = [row for row in csv.reader(file) if row][1:]
        result = split(source, encoding=encoding, block_bytes=block_bytes, rows_per_shard=2)
        assert shard_rows(result) == expected
        assert result.manifest.rejected == 0


# Bytes that are no text, in the middle of a field.
BAD = {
    "utf-8": [b"\xff", b"\xed\xa0\x80", b"\xe6\x97"],
    "cp932": [b"\x81\x20", b"\x85\x6b"],
    "euc_jp": [b"\xff", b"\x8f\x20", b"\xa9\xa9"],
    "ascii": [b"\x80"],
    "utf-16-le": [b"\x00\xd8", b"\x00\xdc", b"\x00\xdc\x00\xd8"],
    "utf-16-be": [b"\xd8\x00", b"\xdc\x00"],
    "iso2022_jp": [b"\xff", b"\x1b$B\x21\x7f\x30\x21\x1b(B", b"\x1b$Z", b"\x1b$B\x7e\x7e\x1b(B"],
}  # fmt: skip


@given(
    rows=st.lists(st.tuples(st.sampled_from(FIELDS[:5]), st.booleans()), min_size=1, max_size=8),
    encoding_and_bad=st.sampled_from([(name, bad) for name, all_ in BAD.items() for bad in all_]),
    block_bytes=st.integers(1, 60),
)
@example(rows=[("", True)], encoding_and_bad=("utf-16-le", b"\x00\xd8"), block_bytes=1)
def test_what_is_no_text_is_rejected_with_its_bytes_and_place(
    rows: list[tuple[str, bool]], encoding_and_bad: tuple[str, bytes], block_bytes: int
) -> None:
    encoding, bad = encoding_and_bad

    def encode(text: str) -> bytes:
        return text.encode(encoding, "ignore")

    lines = [encode(f"1,x{field}") + bad * is_bad + encode("y\n") for field, is_bad in rows]
    header, last = encode("a,b\n"), encode("7,日\n")
    data = header + b"".join(lines) + last
    with tempfile.TemporaryDirectory() as directory:
        source = write(Path(directory), data)
        result = split(source, encoding=encoding, block_bytes=block_bytes)
        good = [["1", f"x{field}y"] for field, is_bad in rows if not is_bad] + [["7", "日"]]
        encodable = [[encode(v).decode(encoding) for v in row] for row in good]
        assert shard_rows(result) == encodable
        rejected = tree(result.dataset / "rejected")
        assert rejected.get("records.csv", b"") == b"".join(
            line for line, (_, is_bad) in zip(lines, rows, strict=True) if is_bad
        )
        reasons = rejected.get("reasons.csv", b"").decode().splitlines()[1:]
        offset = len(header)
        for number, (line, (_, is_bad)) in enumerate(zip(lines, rows, strict=True), 1):
            if is_bad:
                name = encoding.upper() if encoding.startswith("utf") else encoding
                reason = f"{source},{number},{number + 1},{offset},{len(line)},not {name}"
                assert reasons.pop(0) == reason
            offset += len(line)
        assert not reasons


def test_a_character_cut_off_at_the_end_is_rejected(tmp_path: Path) -> None:
    source = write(tmp_path, "a,b\n1,2\n3,日本".encode("utf-16-le")[:-1])
    result = split(source, encoding="utf-16-le")
    assert (result.manifest.records, result.manifest.rejected) == (2, 1)


def test_the_encoding_is_a_matter_of_the_source_only(tmp_path: Path) -> None:
    text = "名前,職業\n" + "".join(f"{n}番,魔法使い\n" for n in range(2500))
    write(tmp_path, text, "utf8.csv")
    write(tmp_path, gzip.compress(text.encode("cp932")), "cp932.csv.gz")
    sharder("split", "utf8.csv", "--out", "one", cwd=tmp_path)
    sharder("split", "cp932.csv.gz", "--out", "two", "--encoding", "shift_jis", cwd=tmp_path)
    one, two = tree(tmp_path / "one"), tree(tmp_path / "two")
    assert b'"encoding": "cp932"' in two.pop("log_quest/manifest.json")
    del one["log_quest/manifest.json"]
    assert one == two


@pytest.mark.parametrize(
    ("codec", "label"),
    [
        ("cp932", "cp932"), ("euc_jp", "euc_jp"), ("iso2022_jp", "iso2022_jp"),
        ("utf-8", "UTF-8"), ("utf-8-sig", "UTF-8"),
        ("utf-16", "UTF-16-LE"), ("utf-16-be", "UTF-16-BE"),
    ],
)  # fmt: skip
@pytest.mark.parametrize("packed", [False, True])
def test_auto_finds_the_encoding_far_behind_the_head(
    tmp_path: Path, codec: str, label: str, packed: bool
) -> None:
    # 600 kB of ASCII first.
    text = "id,name,class\n" + "".join(f"{n},player {n},wizard\n" for n in range(25_000))
    text += "".join(f"{n},勇者 {n}号,魔法使いの弟子\n" for n in range(500))
    data = text.encode(codec)
    write(tmp_path, gzip.compress(data) if packed else data)
    done = sharder(
        *("split", "drop.csv", "--out", ".", "--encoding", "auto", "--no-profile"), cwd=tmp_path
    )
    assert f"drop.csv: written in {label}, as it seems" in done.stderr
    assert "25,500 records = " in done.stderr
    assert " 0 rejected" in done.stderr


def test_auto_says_when_it_cannot_tell(tmp_path: Path) -> None:
    text = "id,name\n" + "".join(f"{n},Größe und Straße\n" for n in range(100))
    write(tmp_path, text.encode("cp1252"))
    message = failure("split", "drop.csv", "--out", "x", "--encoding", "auto", cwd=tmp_path)
    assert "expected text whose encoding can be told, found at best" in message
    assert "name it, such as --encoding cp1252" in message
    sharder("split", "drop.csv", "--out", "x", "--encoding", "cp1252", cwd=tmp_path)


def test_auto_takes_a_few_damaged_lines_for_what_they_are(tmp_path: Path) -> None:
    good = "".join(f"{n},日本\n" for n in range(200)).encode()
    write(tmp_path, b"id,name\n" + good + b"200,\x93\xfa\n")
    done = sharder("split", "drop.csv", "--out", ".", "--encoding", "auto", cwd=tmp_path)
    assert "1 rejected" in done.stderr


@pytest.mark.parametrize(
    ("data", "message"),
    [
        ("a,日\n1,2\n".encode("utf-16"), "header: expected UTF-8, found byte 0xff at position 0"),
        ("a,b\n1,2\n".encode("utf-16-le"), "found a zero byte; if it is UTF-16 without a byte"),
        ("a,日\n1,2\n".encode("cp932"), "such as --encoding cp932, or try --encoding auto"),
    ],
)
def test_a_wrong_encoding_is_found_at_the_header(tmp_path: Path, data: bytes, message: str) -> None:
    write(tmp_path, data)
    assert message in failure("split", "drop.csv", "--out", "x", cwd=tmp_path)


@pytest.mark.parametrize("name", ["klingon", "base64", "rot13", "idna"])
def test_an_encoding_that_python_does_not_have_is_wrong_usage(tmp_path: Path, name: str) -> None:
    write(tmp_path, "a\n1\n")
    options = ("--out", "x", "--encoding", name)
    done = sharder("split", "drop.csv", *options, cwd=tmp_path, status=2)
    assert (
        f"--encoding: expected one that Python knows, such as cp932, or auto, found '{name}'"
        in (done.stderr)
    )
