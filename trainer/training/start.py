"""Where a run begins: at its beginning, where the same command was cut off, or behind its end."""

from __future__ import annotations

import contextlib
from collections.abc import Callable
from dataclasses import dataclass

import msgspec

from shared.errors import ContractError, TargetError
from trainer.config import FitConfig
from trainer.rundir import CHECKPOINTS_NAME, RUN_NAME, load_run
from trainer.training.checkpoint import Checkpoints
from trainer.training.origin import (
    Origin,
    differences,
    option_differences,
    options_of,
    version_differences,
)
from trainer.training.progress import Progress


@dataclass(frozen=True, kw_only=True)
class Start:
    """A position, and whether its state is that of the last checkpoint, or a new model's."""

    progress: Progress
    is_new: bool


def check_finished(config: FitConfig) -> None:
    """Refuse a finished run, unless it is to be replaced or to go on.

    Raises:
        TargetError: it is finished.
    """
    if config.overwrite or config.more_epochs or not (config.out / RUN_NAME).exists():
        return
    differ: list[str] = []
    with contextlib.suppress(ContractError):
        before = load_run(config.out).options | {"more_epochs": None}
        differ = option_differences(before, options_of(config))
    raise TargetError(
        config.out,
        expected="a new directory",
        found="".join(["a finished run", *(f", with {text}" for text in differ)]),
        hint="give another --out, --more-epochs to go on with it, or --overwrite",
    )


def find_start(config: FitConfig, origin: Origin, say: Callable[[str], None]) -> Start:
    """Find out where a run with these options begins.

    `--overwrite` replaces a finished run, and an unfinished one of another command; the same
    command, which has `--overwrite` too, goes on with what it began.

    Args:
        config: the options.
        origin: what the run is made from.
        say: takes a line on a checkpoint that is damaged, and on other versions of libraries.

    Raises:
        TargetError: there is the run of another command, or nothing to go on with.
        ContractError: the state is damaged.
    """
    new = Start(progress=Progress(until=config.epochs), is_new=True)
    checkpoints = Checkpoints(config.out / CHECKPOINTS_NAME)
    is_finished = (config.out / RUN_NAME).exists()
    if config.overwrite and is_finished:
        return new
    if checkpoints.is_empty:
        if config.more_epochs:
            raise TargetError(
                config.out,
                expected="a finished run, with the state at its end, for --more-epochs",
                found=f"no {CHECKPOINTS_NAME} in it" if is_finished else "none",
            )
        return new
    try:
        checkpoint = checkpoints.load(say)
    except ContractError:
        if config.overwrite:
            return new
        raise
    progress, before = checkpoint.progress, checkpoint.origin
    # Else it was cut off, be it in some more epochs that had begun behind the end.
    is_at_end = is_finished and progress.since < load_run(config.out).epochs
    if is_at_end and config.more_epochs:
        progress = progress.extend(config.more_epochs)
        # How many epochs led to the end, nobody has to say again.
        new_options = {name: origin.options[name] for name in ("epochs", "more_epochs")}
        options = before.options | new_options
        before = msgspec.structs.replace(before, options=options)
    differ = differences(before, origin)
    if config.overwrite and (differ or not before.options.get("overwrite")):
        return new
    if differ:
        raise TargetError(
            config.out,
            expected="the options and the data of the run that is there",
            found="; ".join(differ),
            hint="give what it was made with, another --out, or --overwrite to begin anew",
        )
    if others := version_differences(before, origin):
        say(
            f"{'; '.join(others)}: the weights may differ in their last digits from what the run "
            "would have given"
        )
    return Start(progress=progress, is_new=False)
