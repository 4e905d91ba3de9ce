"""A command of many options: listed in sections, with the defaults of its config."""

from __future__ import annotations

import copy
from collections.abc import Callable, Mapping, Sequence
from itertools import chain
from typing import Any

import click

Sections = Mapping[str, Sequence[click.Option]]


def options_with_defaults(config: object) -> Callable[..., click.Option]:
    """Return a function that makes options, which are without what the config is without.

    Args:
        config: with an attribute for each option, of the same name or of that given as `dest`.
    """

    def option(name: str, text: str, *, dest: str = "", **attributes: Any) -> click.Option:
        default = getattr(config, dest or name.removeprefix("--").replace("-", "_"))
        is_shown = default is not None and not attributes.get("is_flag")
        given = {"default": default, "show_default": is_shown} | attributes
        return click.Option([name, *filter(None, [dest])], help=text, **given)

    return option


def without(sections: Sections, *names: str) -> dict[str, tuple[click.Option, ...]]:
    """Return copies of the options, but for some."""
    kept = {
        title: tuple(copy.copy(option) for option in options if option.name not in names)
        for title, options in sections.items()
    }
    return {title: options for title, options in kept.items() if options}


class SectionedCommand(click.Command):
    """A command whose help lists its options in sections."""

    def __init__(
        self,
        name: str | None,
        *,
        sections: Sections,
        params: Sequence[click.Parameter] = (),
        **attributes: Any,
    ) -> None:
        """Take the options of the sections, behind other parameters."""
        options = chain.from_iterable(sections.values())
        super().__init__(name, params=[*params, *options], **attributes)
        self._sections = sections

    def format_options(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        """Write the options into the formatter."""
        listed = {option.name for option in chain.from_iterable(self._sections.values())}
        others = [
            option
            for option in self.get_params(ctx)
            if isinstance(option, click.Option) and option.name not in listed
        ]
        for title, options in {**self._sections, "Other": others}.items():
            records = [option.get_help_record(ctx) for option in options]
            with formatter.section(title):
                formatter.write_dl([record for record in records if record is not None])
