"""Streams and packed files: the same dataset as from the file, in bounded memory."""

from __future__ import annotations

import bz2
import gzip
import io
import lzma
import os
import signal
import subprocess
import tempfile
import threading
import time
from collections.abc import Callable
from itertools import chain, repeat
from pathlib import Path

import pyarrow as pa
import pytest
from hypothesis import given
from hypothesis import strategies as st
from measuring import run_measured
from patience import PATIENCE_S
from rich.console import Console
from rich.filesize import decimal
from splitting import SHARDER, failure, sharder, tree, write

from sharder.config import SplitConfig
from sharder.run import progress
from sharder.split import SplitResult, run
from shared.errors import ShardfitError, TargetError

TEXT = (
    "id,text\r\n" + "".join(f'{n},"line {n}\nand ""another"""\r\n' for n in range(3000))
).encode()


def zstd(data: bytes) -> bytes:
    packed: bytes = pa.compress(data, codec="zstd", asbytes=True)
    return packed


PACKERS: dict[str, Callable[[bytes], bytes]] = {
    "gzip": gzip.compress,
    "bzip2": bz2.compress,
    "xz": lzma.compress,
    "zstd": zstd,
}


def split(source: Path, out: Path, **options: object) -> SplitResult:
    defaults = {"rows_per_shard": 100, "block_bytes": 5000, "workers": 2, **options}
    return run(SplitConfig(sources=(source,), out=out, **defaults))  # type: ignore[arg-type]


@pytest.mark.parametrize("members", [1, 3])
@pytest.mark.parametrize("packer", PACKERS)
def test_a_packed_file_gives_the_same_dataset(tmp_path: Path, packer: str, members: int) -> None:
    plain = split(write(tmp_path, TEXT), tmp_path / "plain")
    third = len(TEXT) // members + 1
    parts = [TEXT[start : start + third] for start in range(0, len(TEXT), third)]
    # The name says nothing: what it is packed in is told by its first bytes.
    source = write(tmp_path, b"".join(map(PACKERS[packer], parts)), "drop.dat")
    packed = split(source, tmp_path / "packed")
    assert packed.manifest.sides == plain.manifest.sides
    assert packed.manifest.columns == plain.manifest.columns
    assert packed.manifest.sources[0].compression == packer
    assert packed.manifest.sources[0].bytes == source.stat().st_size


@pytest.mark.parametrize("pack", [bytes, gzip.compress], ids=["plain", "gzip"])
def test_stdin_and_a_named_pipe_give_the_same_dataset_as_the_file(
    tmp_path: Path, pack: Callable[[bytes], bytes]
) -> None:
    options = ("--rows-per-shard", 100, "--block-bytes", 5000)
    sharder("split", write(tmp_path, TEXT), "--out", "file", *options, cwd=tmp_path)
    expected = tree(tmp_path / "file")
    sharder("split", "-", "--out", "stdin", *options, cwd=tmp_path, stdin=pack(TEXT))
    os.mkfifo(tmp_path / "fifo")
    writer = threading.Thread(target=lambda: (tmp_path / "fifo").write_bytes(pack(TEXT)))
    writer.start()
    sharder("split", "fifo", "--out", "piped", *options, cwd=tmp_path)
    writer.join(timeout=PATIENCE_S)
    for out in ("stdin", "piped"):
        found = tree(tmp_path / out)
        assert b'"bytes": %d' % len(pack(TEXT)) in found.pop("log_quest/manifest.json")
        assert found == {k: v for k, v in expected.items() if k != "log_quest/manifest.json"}
        sharder("verify", f"{out}/log_quest", cwd=tmp_path)


@given(
    body=st.text(st.sampled_from('a,"\r\n é'), max_size=60),
    block_bytes=st.integers(1, 30),
    packer=st.sampled_from(sorted(PACKERS)),
)
def test_a_stream_is_cut_into_the_same_records_as_a_file(
    body: str, block_bytes: int, packer: str
) -> None:
    # A last line with enough quotes to close any that the body has left open.
    text = f'a,b\n1,2\n{body}\n"\n'.encode()
    text += b'"\n' * (text.count(b'"') % 2)
    found: list[object] = []
    with tempfile.TemporaryDirectory() as directory:
        for name, data in (("plain", text), ("packed", PACKERS[packer](text))):
            source = write(Path(directory), data, name)
            out = Path(directory) / f"out-{name}"
            try:
                result = split(
                    *(source, out),
                    block_bytes=block_bytes,
                    rows_per_shard=2,
                    max_rejected=1,
                    validate_fraction=0,
                )
            except ShardfitError as error:  # what one refuses, so must the other
                found.append(str(error).replace(str(source), ""))
            else:
                rejected = tree(result.dataset / "rejected")
                reasons = rejected.pop("reasons.csv", b"").replace(bytes(source), b"")
                found.append((tree(result.dataset / "splited"), rejected, reasons))
    assert found[0] == found[1]


DAMAGES: dict[str, Callable[[bytes], bytes]] = {
    "cut short": lambda data: data[:-7],
    "more behind it": lambda data: data + b"what is this?",
    "changed": lambda data: data[: len(data) // 2] + b"?????" + data[len(data) // 2 + 5 :],
}


@pytest.mark.parametrize(
    ("packer", "damage"),
    # Arrow writes zstd without a checksum: no reader could tell what was changed.
    [(p, d) for p in PACKERS for d in DAMAGES if (p, d) != ("zstd", "changed")],
)
def test_damaged_packed_data_is_named_and_leaves_nothing(
    tmp_path: Path, packer: str, damage: str
) -> None:
    rows = b"".join(b"%d,%d\n" % (n, n * n * 7919 % 1_000_003) for n in range(50_000))
    write(tmp_path, DAMAGES[damage](PACKERS[packer](b"a,b\n" + rows)), "drop.csv.packed")
    message = failure("split", "drop.csv.packed", "--out", "data", cwd=tmp_path)
    assert message.startswith("sharder: error: drop.csv.packed: near byte ")
    assert f"expected {packer} data that is whole, found " in message
    assert not list((tmp_path / "data").glob("*"))


def test_an_archive_is_refused_with_the_way_out(tmp_path: Path) -> None:
    write(tmp_path, b"PK\x03\x04\x14\x00\x00\x00", "drop.zip")
    message = failure("split", "drop.zip", "--out", "data", cwd=tmp_path)
    assert "found a zip archive; unpack it on the way: unzip -p drop.zip | sharder" in message


def test_a_bomb_is_refused_in_bounded_memory(tmp_path: Path) -> None:
    with gzip.open(tmp_path / "bomb.csv.gz", "wb", compresslevel=1) as file:
        file.write(b"a,b\n1,")
        for _ in range(600):
            file.write(bytes(1 << 20))
    command = (SHARDER, "split", "bomb.csv.gz", "--out", "data", "--workers", 2)
    done = run_measured(command, tmp_path)
    assert done.status == 1
    expected = "record 1 (line 2, byte 4): expected a record of at most 16,777,216 bytes"
    assert expected in done.stderr
    assert 0 < done.peak < 400


def test_the_profile_of_a_long_stream_takes_no_more_memory(tmp_path: Path) -> None:
    # A stream has no checkpoints, before which what is counted is laid together.
    lines = [",".join(f"c{n}" for n in range(20)), *[",".join(["yes", "no"] * 10)] * 24_000]
    (tmp_path / "drop.csv.gz").write_bytes(gzip.compress("\n".join(lines).encode()))
    command = (SHARDER, "split", "drop.csv.gz", "--out", "data", "--block-bytes", 1200)
    done = run_measured(command, tmp_path)
    assert done.status == 0, done.stderr
    assert 0 < done.peak < 140


def test_a_stream_without_records_is_refused(tmp_path: Path) -> None:
    for stdin, message in (
        (b"", "stdin: expected a header and records, found an empty file"),
        (b"a,b", "stdin: expected records, found a header and no record behind it"),
        (gzip.compress(b""), "stdin: expected a header and records, found an empty file"),
    ):
        assert message in failure("split", "-", "--out", "data", cwd=tmp_path, stdin=stdin)


def test_ctrl_c_ends_a_run_that_waits_for_a_silent_pipe(tmp_path: Path) -> None:
    command = [SHARDER, "split", "-", "--out", "data", "--block-bytes", "1000"]
    process = subprocess.Popen(
        command, cwd=tmp_path, stdin=subprocess.PIPE, stderr=subprocess.PIPE, bufsize=0
    )
    assert process.stdin
    assert process.stderr
    process.stdin.write(TEXT)
    shards = tmp_path / "data" / ".log_quest.partial" / "log_quest" / "splited"
    while len(list(shards.glob("*"))) < 2:
        assert process.poll() is None
        time.sleep(0.01)
    time.sleep(1)  # it has taken all that there is, and waits for more
    os.kill(process.pid, signal.SIGINT)
    # Its stdin stays open: an end of the pipe would wake it, too.
    assert process.wait(timeout=PATIENCE_S) == 130
    stderr = process.stderr.read()
    assert b"interrupted; nothing is left behind" in stderr
    assert not (tmp_path / "data").exists()
    process.stdin.close()
    process.stderr.close()


@pytest.mark.parametrize("packed", [True, False])
def test_progress_is_told_by_what_is_known(
    tmp_path: Path, packed: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(progress, "_LINE_EVERY_S", 0.0)
    console = Console(file=io.StringIO(), width=200)
    source = tmp_path / "drop.csv"
    if packed:
        source.write_bytes(gzip.compress(TEXT))
    else:
        os.mkfifo(source)
        threading.Thread(target=lambda: source.write_bytes(TEXT)).start()
    run(SplitConfig(sources=(source,), out=tmp_path, block_bytes=5000), console)
    lines = console.file.getvalue().splitlines()  # type: ignore[attr-defined]
    if packed:
        size = decimal(source.stat().st_size)
        assert lines[-1].startswith(f"splitting: 100%  {size} of {size}  ")
        assert lines[-1].endswith("/s  0 s left")
    else:
        assert lines[-1].startswith(f"splitting: {decimal(len(TEXT))}  ")
        assert lines[-1].endswith("/s")


def test_a_stream_stops_before_the_disk_is_full(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    real, free = os.statvfs, chain(range(1_000_000, 0, -100_000), repeat(0))

    def shrinking(path: str) -> os.statvfs_result:
        found = list(real(path))
        found[1], found[4] = 1, next(free)  # f_frsize, f_bavail
        return os.statvfs_result(found)

    source = write(tmp_path, gzip.compress(TEXT))
    monkeypatch.setattr(os, "statvfs", shrinking)
    with pytest.raises(TargetError, match=" free for the shards, found"):
        split(source, tmp_path / "out")
    assert not (tmp_path / "out").exists()
