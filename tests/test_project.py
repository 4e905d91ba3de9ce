"""What holds for the project as a whole: its layout and its documentation."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from pathlib import Path

import click
import pytest
from patience import PATIENCE_S
from programs import COMMANDS, PROGRAMS, options_of

import sharder
import shared
import trainer

ROOT = Path(__file__).parents[1]
README = (ROOT / "README.md").read_text(encoding="utf-8")


def test_the_three_packages_lie_side_by_side() -> None:
    # The names are other distributions' too: this tells that ours are the ones imported.
    homes = {Path(str(package.__file__)).parents[1] for package in (shared, sharder, trainer)}
    assert len(homes) == 1


def rows_of(text: str, command: str) -> list[str]:
    """Return the rows of the tables of a command's options in a reference."""
    tables = re.findall(
        rf"^\| option of `{command}` \|.*\n\|[-|]+\n((?:\|.*\n)+)", text, re.MULTILINE
    )
    return "".join(tables).splitlines()


@pytest.mark.parametrize(("path", "command"), COMMANDS, ids=str)
def test_every_command_and_option_is_documented(
    path: tuple[str, ...], command: click.Command
) -> None:
    assert re.search(rf"\b{' '.join(path)}\b", README)
    text = (ROOT / f"docs/{path[0]}.md").read_text(encoding="utf-8")
    names = set().union(*options_of(command))
    # Only the commands with many options have tables of them.
    rows = rows_of(text, path[-1])
    assert bool(rows) == (f"option of `{path[-1]}`" in text)
    known = set(re.findall(r"--[a-z-]+", "\n".join(rows) if rows else text))
    assert names - known == set()
    first = "\n".join(row.split("|")[1] for row in rows)
    assert set(re.findall(r"--[a-z-]+", first)) - names == set()


@pytest.mark.parametrize("program", PROGRAMS)
def test_help_and_version_answer(program: str) -> None:
    path = Path(sys.executable).with_name(program)
    for option in ("--help", "--version"):
        done = subprocess.run([path, option], capture_output=True, text=True, timeout=PATIENCE_S)
        assert done.returncode == 0, done.stderr
        assert program in done.stdout


# The interpreter imports `sitecustomize` when it starts.
TRAP = """
import os, signal, sys

def interrupt(event, arguments):
    if event == "import" and arguments[0] == "click":
        os.kill(os.getpid(), signal.SIGINT)

sys.addaudithook(interrupt)
"""


@pytest.mark.parametrize("program", PROGRAMS)
def test_ctrl_c_is_answered_while_modules_are_still_imported(program: str, tmp_path: Path) -> None:
    (tmp_path / "sitecustomize.py").write_text(TRAP)
    path = Path(sys.executable).with_name(program)
    env = os.environ | {"PYTHONPATH": str(tmp_path)}
    done = subprocess.run(
        [path, "--help"], env=env, capture_output=True, text=True, timeout=PATIENCE_S
    )
    assert (done.returncode, done.stdout) == (130, "")
    assert done.stderr == f"{program}: interrupted; nothing is left behind\n"
