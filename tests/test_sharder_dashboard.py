"""A split under a Dask scheduler in its own process, whose dashboard shows it to this machine."""

from __future__ import annotations

import gzip
import logging
import os
import re
import shutil
import signal
import subprocess
import threading
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import IO

import pytest
from killing import OPTIONS, cut_off, write_log
from patience import PATIENCE_S
from splitting import SHARDER, sharder, tree, write

from sharder.graph.cluster import silence

_LISTENS = "0A"

# The interpreter of a program imports `sitecustomize` when it starts: no shard is written before
# the gate is open, so that the run lasts as long as it is looked at.
GATE = """
import os, sys, time

def wait(event, arguments):
    if event == "open" and "split_data_" in str(arguments[0]):
        while not os.path.exists(os.environ["GATE"]):
            time.sleep(0.01)

sys.addaudithook(wait)
"""


@contextmanager
def started(home: Path) -> Iterator[tuple[subprocess.Popen[str], str, IO[str]]]:
    """Start a run, and wait until it has told where its dashboard is.

    Gives the process, the address, and what else it tells.
    """
    (home / "gate").mkdir()
    write(home / "gate", GATE, "sitecustomize.py")
    env = os.environ | {"GATE": str(home / "gate/open"), "PYTHONPATH": str(home / "gate")}
    command = [SHARDER, "split", "drop.csv", *OPTIONS, "--dashboard"]
    with subprocess.Popen(command, cwd=home, env=env, stderr=subprocess.PIPE, text=True) as process:
        assert process.stderr is not None
        told = ""
        while not (found := re.search(r"^dashboard: (\S+)$", told, re.MULTILINE)):
            assert process.poll() is None, told
            told += process.stderr.readline()
        yield process, found[1], process.stderr


def interrupt(process: subprocess.Popen[str], home: Path) -> None:
    """Send Ctrl-C to a run, then let it go on."""
    process.send_signal(signal.SIGINT)
    (home / "gate/open").touch()


def listens_at(pid: int) -> list[tuple[str, int]]:
    """Return the addresses at which a process listens, as /proc spells them, and the ports."""
    sockets = set()
    for handle in Path(f"/proc/{pid}/fd").iterdir():
        if found := re.fullmatch(r"socket:\[(\d+)\]", str(handle.readlink())):
            sockets.add(found[1])
    listening = []
    for table in ("tcp", "tcp6"):
        for line in Path(f"/proc/{pid}/net/{table}").read_text().splitlines()[1:]:
            _, local, _, state, *rest = line.split()
            if state == _LISTENS and rest[5] in sockets:
                address, _, port = local.partition(":")
                listening.append((address, int(port, 16)))
    return listening


def test_the_dashboard_shows_a_run_that_goes_on_to_the_same_bytes(tmp_path: Path) -> None:
    write_log(tmp_path)
    sharder("split", "drop.csv", *OPTIONS, cwd=tmp_path)
    expected = tree(tmp_path / "data")
    shutil.rmtree(tmp_path / "data")
    cut_off(tmp_path)
    with started(tmp_path) as (process, url, stderr):
        assert url.startswith("http://127.0.0.1:")
        port = int(url.removeprefix("http://127.0.0.1:").removesuffix("/status"))
        listening = listens_at(process.pid)
        assert ("0100007F", port) in listening
        assert {address for address, _ in listening} == {"0100007F"}
        with urllib.request.urlopen(url, timeout=PATIENCE_S) as page:
            assert "<title>Dask Diagnostic UI</title>" in page.read().decode()
        interrupt(process, tmp_path)
        told = stderr.read()
    assert process.returncode == 130, told
    assert "Traceback" not in told
    assert told.splitlines()[-1].startswith("sharder: interrupted; ")

    done = sharder("split", "drop.csv", *OPTIONS, "--dashboard", cwd=tmp_path)
    assert "going on at " in done.stderr
    assert tree(tmp_path / "data") == expected


def test_ctrl_c_as_soon_as_the_dashboard_is_told_of_ends_the_run(tmp_path: Path) -> None:
    write_log(tmp_path)
    with started(tmp_path) as (process, _, stderr):
        interrupt(process, tmp_path)
        told = stderr.read()
    assert process.returncode == 130, told
    assert "Traceback" not in told
    assert told.splitlines()[-1].startswith("sharder: interrupted; ")
    assert not (tmp_path / "data/log_quest").exists()


def test_a_lock_of_the_loggers_that_ctrl_c_has_left_taken_keeps_no_thread_of_dask() -> None:
    silence("distributed")
    look = logging.getLogger("distributed.core").isEnabledFor
    thread = threading.Thread(target=look, args=[logging.DEBUG], daemon=True)
    with logging._lock:  # type: ignore[attr-defined]
        thread.start()
        thread.join(timeout=PATIENCE_S)
        assert not thread.is_alive()


@pytest.mark.parametrize(
    "other", [("--shuffle",), ("--memory", "1GiB"), ("--clean", "rules:clean")]
)
def test_what_the_dashboard_cannot_show_is_refused(tmp_path: Path, other: tuple[str, ...]) -> None:
    write(tmp_path, "a\n1\n")
    options = ("--out", "data", "--dashboard", *other)
    told = sharder("split", "drop.csv", *options, cwd=tmp_path, status=2).stderr
    assert f"{other[0]}: expected no --dashboard beside it, found both; " in told
    assert not (tmp_path / "data").exists()


def test_a_cluster_has_a_dashboard_of_its_own(tmp_path: Path) -> None:
    write(tmp_path, "a\n1\n")
    options = ("--out", "data", "--dashboard", "--scheduler", "x.json")
    told = sharder("split", "drop.csv", *options, cwd=tmp_path, status=2).stderr
    assert "--dashboard: expected no --scheduler beside it, found both; the cluster has one" in told


def test_a_stream_has_no_dashboard(tmp_path: Path) -> None:
    write(tmp_path, gzip.compress(b"a\n" + b"1\n" * 100), "drop.csv.gz")
    for source, stdin in (("-", b"a\n1\n"), ("drop.csv.gz", b"")):
        options = ("--out", "data", "--dashboard")
        told = sharder("split", source, *options, cwd=tmp_path, stdin=stdin, status=1).stderr
        assert "expected with --scheduler or --dashboard, a source that can be read in" in told
        assert list(tmp_path.iterdir()) == [tmp_path / "drop.csv.gz"]
