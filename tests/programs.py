"""The commands of the two programs, as click knows them."""

from __future__ import annotations

from collections.abc import Iterator

import click

from sharder.cli import cli as sharder_cli
from trainer.cli import cli as trainer_cli

PROGRAMS = {"sharder": sharder_cli, "trainer": trainer_cli}


def walk(
    group: click.Group, path: tuple[str, ...]
) -> Iterator[tuple[tuple[str, ...], click.Command]]:
    """Yield each command below a group, with the words that call it."""
    for name, command in group.commands.items():
        if isinstance(command, click.Group):
            yield from walk(command, (*path, name))
        else:
            yield (*path, name), command


COMMANDS = [found for program, group in PROGRAMS.items() for found in walk(group, (program,))]


def options_of(command: click.Command) -> list[set[str]]:
    """Return the spellings of each option of a command."""
    return [
        {*parameter.opts, *parameter.secondary_opts}
        for parameter in command.params
        if isinstance(parameter, click.Option)
    ]
