"""Several sources as one drop: files, patterns, stores."""

from __future__ import annotations

import gzip
import http.server
import re
import threading
from collections.abc import Iterator
from pathlib import Path

import boto3
import fsspec
import pytest
from s3_server import s3_server
from splitting import failure, sharder, shell, tree, write

from sharder.config import SplitConfig
from sharder.split import run

ROWS = "".join(f'{n},"line {n}\nand another"\n' for n in range(3000))
TEXT = ("id,text\n" + ROWS).encode()
OPTIONS = ("--rows-per-shard", 100, "--block-bytes", 8000, "--validate-fraction", 0)


def shards(dataset: Path) -> bytes:
    """Return all records of the training side, without the headers."""
    files = tree(dataset / "splited").values()
    return b"".join(data.partition(b"\n")[2] for data in files)


def expected(tmp_path: Path) -> dict[str, bytes]:
    write(tmp_path, TEXT, "expected.csv")
    sharder("split", "expected.csv", "--out", "expected", *OPTIONS, cwd=tmp_path)
    return tree(tmp_path / "expected/log_quest/splited")


def test_a_quoted_pattern_finds_files_in_natural_order(tmp_path: Path) -> None:
    for number in (10, 9, 1, 2, 100):
        write(tmp_path, f"n\n{number}\n", f"part-{number}.csv")
    (tmp_path / "part-3.csv").mkdir()  # no file
    done = sharder("split", "part-*.csv", "--out", ".", *OPTIONS, cwd=tmp_path)
    assert shards(tmp_path / "log_quest") == b"1\n2\n9\n10\n100\n"
    assert "5 records = " in done.stderr
    message = failure("split", "shard-*.csv", "--out", "x", cwd=tmp_path)
    assert "shard-*.csv: expected a pattern that finds files, found none" in message


def test_sources_keep_the_order_they_are_given_in(tmp_path: Path) -> None:
    for name in ("c", "a", "b"):
        write(tmp_path, f"n\n{name}\n", f"{name}.csv")
    write(tmp_path, gzip.compress(b"n\nz\n"), "z.csv.gz")
    write(tmp_path, "n\n日\n".encode("utf-16"), "[a].csv")  # a name that looks like a pattern
    sharder("split", "c.csv", "z.csv.gz", "a.csv", "b.csv", "--out", ".", *OPTIONS, cwd=tmp_path)
    assert shards(tmp_path / "log_quest") == b"c\nz\na\nb\n"
    options = ("--out", "two", "--encoding", "auto")
    sharder("split", "[a].csv", "a.csv", *options, *OPTIONS, cwd=tmp_path)
    assert shards(tmp_path / "two" / "log_quest") == "日\na\n".encode()


def test_many_packed_files_are_one_table(tmp_path: Path) -> None:
    header, *lines = TEXT.splitlines(keepends=True)  # two a record
    for part in range(20):
        data = gzip.compress(header + b"".join(lines[part * 300 : part * 300 + 300]))
        write(tmp_path, data, f"part-{part}.csv.gz")
    sharder("split", "part-*.csv.gz", "--out", ".", *OPTIONS, cwd=tmp_path)
    assert tree(tmp_path / "log_quest/splited") == expected(tmp_path)


@pytest.mark.parametrize("same", ["one.csv", "./one.csv", "link.csv", "o*.csv"])
def test_the_same_source_twice_is_refused(tmp_path: Path, same: str) -> None:
    (tmp_path / "link.csv").symlink_to(write(tmp_path, "n\n1\n", "one.csv"))
    message = failure("split", "one.csv", same, "--out", "x", cwd=tmp_path)
    assert "expected each source once, found the same as one.csv" in message
    assert not (tmp_path / "x").exists()


def test_other_columns_are_refused_with_what_differs_and_another_order_with_the_fix(
    tmp_path: Path,
) -> None:
    write(tmp_path, "id,when,who\n1,2,3\n", "one.csv")
    write(tmp_path, "id,who,when\n1,3,2\n", "two.csv")
    write(tmp_path, "id,who,where\n1,3,2\n", "three.csv")
    message = failure("split", "one.csv", "two.csv", "--out", "x", cwd=tmp_path)
    assert (
        "two.csv: header: expected the order that one.csv has, with 'when' as column 2" in message
    )
    assert (
        "found 'who' there; put them into that order: mlr --csv cut -o -f id,when,who two.csv"
        in (message)
    )
    message = failure("split", "one.csv", "three.csv", "--out", "x", cwd=tmp_path)
    assert (
        "three.csv: header: expected the columns of one.csv, found no 'when' but 'where'" in message
    )


class _Server(http.server.SimpleHTTPRequestHandler):
    """Gives one text; ranges of it, too, if its address says so."""

    ranges: list[tuple[int, int]]

    def do_GET(self) -> None:
        self._answer(with_body=True)

    def do_HEAD(self) -> None:
        self._answer(with_body=False)

    def _answer(self, *, with_body: bool) -> None:
        if self.path.startswith("/none"):
            self.send_error(404)
            return
        body, has_ranges = TEXT, self.path.startswith("/ranges")
        match = re.fullmatch(r"bytes=(\d+)-(\d+)", self.headers.get("Range", ""))
        if has_ranges and match:
            first, last = int(match[1]), min(int(match[2]), len(TEXT) - 1)
            self.ranges.append((first, last + 1))
            body = TEXT[first : last + 1]
            self.send_response(206)
            self.send_header("Content-Range", f"bytes {first}-{last}/{len(TEXT)}")
        else:
            self.send_response(200)
        self.send_header("Accept-Ranges", "bytes" if has_ranges else "none")
        if not self.path.startswith("/unsized"):
            self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        if with_body:
            self.wfile.write(body)

    def log_message(self, *_: object) -> None:
        """Say nothing."""


@pytest.fixture
def web() -> Iterator[str]:
    _Server.ranges = []
    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), _Server) as server:
        thread = threading.Thread(target=server.serve_forever)
        thread.start()
        yield f"http://127.0.0.1:{server.server_port}"
        server.shutdown()
        thread.join()


@pytest.mark.parametrize("kind", ["ranges", "whole", "unsized"])
def test_a_web_server_gives_the_same_dataset(tmp_path: Path, web: str, kind: str) -> None:
    # With a query, which is no pattern.
    sharder("split", f"{web}/{kind}/drop.csv?token=a*", "--out", ".", *OPTIONS, cwd=tmp_path)
    assert tree(tmp_path / "log_quest/splited") == expected(tmp_path)
    if kind == "ranges":  # read in pieces, each of them once
        data = TEXT.index(b"\n") + 1
        blocks = [(start, min(start + 8000, len(TEXT))) for start in range(data, len(TEXT), 8000)]
        assert set(blocks) <= set(_Server.ranges)


def test_what_a_store_does_not_have_is_named(tmp_path: Path, web: str) -> None:
    for url, found in (
        (f"{web}/none.csv", "found no such file"),
        ("http://127.0.0.1:9/drop.csv", "found no such file: Cannot connect to host 127.0.0.1:9"),
        ("nowhere://drop.csv", "found ValueError: Protocol not known: nowhere"),
    ):
        message = failure("split", url, "--out", "x", cwd=tmp_path)
        assert message.startswith(f"sharder: error: {url}: ")
        assert found in message


@pytest.fixture(scope="module")
def bucket() -> Iterator[str]:
    with s3_server() as server:
        yield server.bucket


def test_s3_gives_the_same_dataset(tmp_path: Path, bucket: str) -> None:
    client = boto3.client("s3")
    lines = TEXT.splitlines(keepends=True)
    # In natural order 10 is the last; the second of them is packed.
    for number, part in ((1, lines[:2001]), (2, lines[2001:4001]), (10, lines[4001:])):
        body = b"".join(part if number == 1 else [lines[0], *part])
        packed = number == 2
        client.put_object(
            Bucket=bucket,
            Key=f"part-{number}.csv",
            Body=gzip.compress(body) if packed else body,
        )
    url = f"s3://{bucket}/part-*.csv"
    sharder("split", url, "--out", ".", *OPTIONS, cwd=tmp_path)
    assert tree(tmp_path / "log_quest/splited") == expected(tmp_path)
    sharder("verify", "log_quest", cwd=tmp_path)
    message = failure("split", f"s3://{bucket}/part-3.csv", "--out", "x", cwd=tmp_path)
    assert f"s3://{bucket}/part-3.csv: expected a CSV file, found no such file" in message


def readme_examples() -> list[str]:
    """Return the commands that the README shows for each kind of source."""
    readme = Path(__file__).parents[1].joinpath("README.md").read_text(encoding="utf-8")
    block = readme.split("A source is one of these")[1].split("\n\n")[1]
    return [line.strip().split("   ")[0] for line in block.splitlines()]


@pytest.mark.parametrize("example", readme_examples())
def test_the_examples_of_the_readme_run(tmp_path: Path, bucket: str, example: str) -> None:
    write(tmp_path, "名前\n勇者\n".encode("cp932" if "cp932" in example else "utf-8"))
    write(tmp_path, gzip.compress(TEXT), "drop.csv.gz")
    write(tmp_path, "id\tname\n1\t勇者\n", "drop.tsv")
    write(tmp_path, 'id;name\n1;勇者\n2;"a;b"\n', "drop.txt")
    write(tmp_path, "id\tname\n1\t勇\\\t者\n", "dump.txt")
    for number in (1, 2):
        write(tmp_path, TEXT, f"part-{number}.csv")
        boto3.client("s3").put_object(Bucket=bucket, Key=f"2025-04-0{number}.csv", Body=TEXT)
    # A single record may go to either side: all of them to the one for training.
    done = shell(f"{example} --validate-fraction 0", tmp_path)
    assert done.returncode == 0, done.stderr
    place = example.partition("--out ")[2].split()[0]
    assert done.stdout == f"{place}/log_quest\n"


def test_a_store_in_memory_is_read_by_a_script(tmp_path: Path) -> None:
    with fsspec.open("memory://drops/drop.csv", "wb") as file:
        file.write(TEXT)
    result = run(SplitConfig(sources=("memory://drops/drop.csv",), out=tmp_path))
    assert result.manifest.records == 3000
    assert result.manifest.sources[0].path == "memory://drops/drop.csv"
