"""What holds for the project as a whole: its layout and its documentation."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import click
import pytest

import sharder
import shared
import trainer
from sharder.cli import cli as sharder_cli
from trainer.cli import cli as trainer_cli

ROOT = Path(__file__).parents[1]
README = (ROOT / "README.md").read_text(encoding="utf-8")

COMMANDS = [
    (program, name, command)
    for program, group in (("sharder", sharder_cli), ("trainer", trainer_cli))
    for name, command in group.commands.items()
]


def test_the_three_packages_lie_side_by_side() -> None:
    # The names are other distributions' too: this tells that ours are the ones imported.
    homes = {Path(str(package.__file__)).parents[1] for package in (shared, sharder, trainer)}
    assert len(homes) == 1


@pytest.mark.parametrize(("program", "name", "command"), COMMANDS, ids=str)
def test_every_command_and_option_is_documented(
    program: str, name: str, command: click.Command
) -> None:
    assert f"{program} {name}" in README
    document = ROOT / "docs" / f"{program}.md"
    text = document.read_text(encoding="utf-8") if document.exists() else README
    for parameter in command.params:
        if isinstance(parameter, click.Option):
            missing = [option for option in parameter.opts if option not in text]
            assert not missing, f"{program} {name}"


@pytest.mark.parametrize("program", ["sharder", "trainer"])
def test_help_and_version_answer(program: str) -> None:
    path = Path(sys.executable).with_name(program)
    for option in ("--help", "--version"):
        done = subprocess.run([path, option], capture_output=True, text=True, timeout=60)
        assert done.returncode == 0, done.stderr
        assert program in done.stdout
