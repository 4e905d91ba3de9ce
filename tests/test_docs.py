"""Each example of the reference works, in the order in which a reader meets it."""

from __future__ import annotations

import csv
import gzip
import re
import shlex
import subprocess
import sys
from itertools import groupby
from pathlib import Path

import click
import pytest
from programs import COMMANDS, PROGRAMS, options_of
from splitting import shell
from support import spell

from shared.dialect import Dialect

ROOT = Path(__file__).parents[1]
RECORDS = 3000


def read_blocks(program: str, language: str) -> list[str]:
    """Return the blocks of a language in a reference."""
    text = (ROOT / "docs" / f"{program}.md").read_text(encoding="utf-8")
    return re.findall(rf"^```{language}\n(.*?)^```$", text, re.DOTALL | re.MULTILINE)


def given(program: str, path: tuple[str, ...]) -> set[str]:
    """Return the options that the examples of a reference give to a command."""
    found = set()
    for block in read_blocks(program, "sh"):
        for line in block.replace("\\\n", " ").splitlines():
            words = shlex.shlex(line, posix=True, punctuation_chars=True)
            words.whitespace_split = True
            for is_command, call in groupby(words, lambda word: not set(word) <= set("();<>|&")):
                called = list(call)
                if is_command and tuple(called[: len(path)]) == path:
                    found |= {word for word in called if word.startswith("--")}
    return found


@pytest.fixture
def drops(tmp_path: Path) -> Path:
    """A directory with the sources that the examples name."""
    log = tmp_path / "quest_log.csv"
    make = ["--records", str(RECORDS), "--out", str(log)]
    subprocess.run(
        [sys.executable, str(ROOT / "data/make_quest_log.py"), *make],
        check=True,
        capture_output=True,
    )
    dump = Dialect("\t", None, "\\")
    with log.open(newline="") as read:
        (tmp_path / "new_quests.txt").write_text(spell(csv.reader(read), dump), newline="")
    (tmp_path / "quest_log.csv.gz").write_bytes(gzip.compress(log.read_bytes()))
    rows = [
        ["id", "name"],
        *([str(number), f"第{number}章、勇者は城へ向かった"] for number in range(300)),
    ]
    later = [["id", "name"], *([str(number), "次の月"] for number in range(300, 500))]
    for name in ("part-1.csv", "part-2.csv", "cp932.csv", "bad.csv"):
        encoding = "cp932" if name == "cp932.csv" else "utf-8"
        with (tmp_path / name).open("w", encoding=encoding, newline="") as file:
            csv.writer(file).writerows(later if name == "part-2.csv" else rows)
    with (tmp_path / "bad.csv").open("a") as file:
        file.write("one field\n")
    with (tmp_path / "semicolons.csv").open("w", newline="") as file:
        csv.writer(file, delimiter=";", quotechar="'").writerows(rows)
    text = spell([*rows, ["301", "a\ttab"]], dump)
    (tmp_path / "dump.txt").write_text(text, newline="")
    with (tmp_path / "numbers.csv").open("w", newline="") as file:
        csv.writer(file).writerows(rows[1:])
    for name, function in (("my_models", "wide"), ("my_features", "prepare")):
        (text,) = [b for b in read_blocks("trainer", "python") if f"def {function}(" in b]
        (tmp_path / f"{name}.py").write_text(text)
    return tmp_path


@pytest.mark.parametrize("program", PROGRAMS)
def test_the_examples_work(program: str, drops: Path) -> None:
    for example in read_blocks(program, "sh"):
        done = shell(f"set -e; {example}", cwd=drops)
        assert done.returncode == 0, f"{example}\n{done.stdout}\n{done.stderr}"


@pytest.mark.parametrize(("path", "command"), COMMANDS, ids=str)
def test_each_option_has_an_example(path: tuple[str, ...], command: click.Command) -> None:
    examples = given(path[0], path)
    assert [names for names in options_of(command) if not names & examples] == []
