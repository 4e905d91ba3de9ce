"""Helpers of the tests that run `sharder` as a user does."""

from __future__ import annotations

import csv
import os
import re
import signal
import subprocess
import sys
from pathlib import Path

from patience import PATIENCE_S

from shared.layout import Side, list_shards

SHARDER = str(Path(sys.executable).with_name("sharder"))
SAMPLE = Path(__file__).parents[1] / "data" / "quest_log_sample.csv"

PROGRESS = re.compile(r"^(splitting|shuffling|looking at times): .*/s.*\n", re.MULTILINE)

# The interpreter of a program imports `sitecustomize` when it starts: a signal comes while the
# third file behind a checkpoint is opened, whatever else the machine does.
TRAP = """
import itertools, os, sys
FILES, NEW = os.environ["FILES"], os.O_NOFOLLOW | os.O_APPEND
checkpoints, shards = int(os.environ["CHECKPOINTS"]), itertools.count(1)

def look(event, arguments):
    global checkpoints
    if event == "os.rename" and str(arguments[1]).endswith("/.checkpoint"):
        checkpoints -= 1
    elif event == "open" and FILES in str(arguments[0]) and arguments[2] & NEW:
        if checkpoints <= 0 and next(shards) == 3:
            os.kill(os.getpid(), int(os.environ["SIGNAL"]))

sys.addaudithook(look)
"""


def sharder(
    *args: object, cwd: Path, status: int = 0, stdin: bytes = b""
) -> subprocess.CompletedProcess[str]:
    """Run a command, and check its exit status."""
    command = [SHARDER, *map(str, args)]
    run = subprocess.run(command, cwd=cwd, capture_output=True, input=stdin, timeout=PATIENCE_S)
    done = subprocess.CompletedProcess(
        command, run.returncode, run.stdout.decode(), run.stderr.decode()
    )
    assert done.returncode == status, f"{command}\n{done.stdout}\n{done.stderr}"
    assert "Traceback" not in done.stderr
    return done


def trapped(
    home: Path, number: signal.Signals, *, checkpoints: int = 0, files: str = "split_data_"
) -> dict[str, str]:
    """Return an environment in which a run gets a signal, behind so many of its checkpoints.

    That is when the third of some files is opened to be written, or to be added to.
    """
    (home / "trap").mkdir(exist_ok=True)
    (home / "trap/sitecustomize.py").write_text(TRAP)
    trap = {"CHECKPOINTS": checkpoints, "SIGNAL": int(number), "PYTHONPATH": home / "trap"}
    return os.environ | {name: str(value) for name, value in trap.items()} | {"FILES": files}


def shell(line: str, cwd: Path) -> subprocess.CompletedProcess[str]:
    """Run a line in a shell that finds the programs."""
    path = f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}"
    return subprocess.run(
        ["bash", "-c", f"set -o pipefail; {line}"],
        cwd=cwd,
        env={**os.environ, "PATH": path},
        capture_output=True,
        text=True,
        timeout=PATIENCE_S,
    )


def failure(*args: object, cwd: Path, stdin: bytes = b"") -> str:
    """Run a command that fails as expected, and return its message."""
    done = sharder(*args, cwd=cwd, status=1, stdin=stdin)
    assert done.stdout == ""
    # On a slow machine, there are lines of progress before it.
    told = PROGRESS.sub("", done.stderr)
    assert told.startswith("sharder: error: ")
    return told


def write(directory: Path, text: str | bytes, name: str = "drop.csv") -> Path:
    """Write a source."""
    path = directory / name
    path.write_bytes(text if isinstance(text, bytes) else text.encode())
    return path


def tree(directory: Path) -> dict[str, bytes]:
    """Return the bytes of all files in a directory.

    But for what `--append` goes on from, whose last digits depend on the size of the blocks.
    """
    found = sorted(directory.rglob("*"))
    files = (path for path in found if path.is_file() and path.suffix != ".msgpack")
    return {str(path.relative_to(directory)): path.read_bytes() for path in files}


def read_side(dataset: Path, side: Side) -> list[dict[str, str]]:
    """Return the records of a side, as Python's `csv` reads them."""
    rows: list[dict[str, str]] = []
    for shard in list_shards(dataset, side):
        with shard.open(newline="", encoding="utf-8") as file:
            rows += csv.DictReader(file)
    return rows
