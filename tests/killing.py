"""Helpers of the tests that kill `sharder split`: a source of many blocks, a run cut off in it."""

from __future__ import annotations

import os
import signal
import subprocess
from pathlib import Path
from random import Random

from patience import PATIENCE_S
from splitting import SHARDER, trapped, write

# So small that the source has 322 blocks, and a checkpoint after 256 of them.
OPTIONS = ("--out", "data", "--block-bytes", "400", "--rows-per-shard", "50",
           "--checkpoint-every", "256")  # fmt: skip
ENDS = {signal.SIGKILL: -signal.SIGKILL, signal.SIGINT: 130}
CHECKPOINT = Path("data/.log_quest.partial/.checkpoint")


# A signal comes behind the rename of a directory or file to its final name.
COMMITTED = """
import os, sys
renamed = False

def look(event, arguments):
    global renamed
    if renamed:
        renamed = False
        os.kill(os.getpid(), int(os.environ["SIGNAL"]))
    if event == "os.rename":
        renamed = str(arguments[1]).endswith(os.environ["RENAMED"])

sys.addaudithook(look)
"""


def write_log(
    directory: Path, records: int = 5500, *, name: str = "drop.csv", seed: int = 0
) -> None:
    random = Random(seed)
    lines = ["id,player,score,comment"]
    for number in range(records):
        score = "" if number % 7 == 0 else f"{random.gauss(10, 3):.3f}"
        comment = '"a ""b"",\nc"' if number % 11 == 0 else f"word {random.randrange(30)}"
        lines.append(f"{number},p{random.randrange(400)},{score},{comment}")
        if number % 500 == 0:
            lines.append(f"bad,{number}")
    write(directory, "\n".join(lines) + "\n", name)


def cut_off(
    home: Path,
    number: signal.Signals = signal.SIGKILL,
    *options: str,
    source: str = "drop.csv",
    checkpoints: int = 1,
    files: str = "split_data_",
) -> str:
    """Start a run that gets a signal behind so many checkpoints; return what it told."""
    done = subprocess.run(
        [SHARDER, "split", source, *OPTIONS, *options],
        cwd=home,
        env=trapped(home, number, checkpoints=checkpoints, files=files),
        capture_output=True,
        text=True,
        timeout=PATIENCE_S,
        check=False,
    )
    assert done.returncode == ENDS[number], done.stderr
    assert (home / CHECKPOINT).exists()
    return done.stderr


def trapped_behind(home: Path, renamed: str, number: signal.Signals) -> dict[str, str]:
    """Return an environment in which a program gets a signal when something has its final name.

    Args:
        home: a directory that may be written to.
        renamed: the end of that name.
        number: of the signal.
    """
    (home / "trap").mkdir(exist_ok=True)
    (home / "trap/sitecustomize.py").write_text(COMMITTED)
    trap = {"PYTHONPATH": str(home / "trap"), "RENAMED": renamed, "SIGNAL": str(int(number))}
    return os.environ | trap


def cut_off_when_done(
    home: Path, renamed: str, *arguments: object, number: signal.Signals, stdin: bytes = b""
) -> str:
    """Start a run that gets a signal when something has its final name; return what it told."""
    done = subprocess.run(
        [SHARDER, *map(str, arguments)],
        cwd=home,
        env=trapped_behind(home, renamed, number),
        input=stdin,
        capture_output=True,
        timeout=PATIENCE_S,
        check=False,
    )
    assert done.stdout == b""
    assert done.returncode == ENDS[number], done.stderr
    return done.stderr.decode()
