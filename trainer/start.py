"""Where a run begins: at its beginning, where the same command was cut off, or behind its end."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import msgspec

from shared.errors import ContractError, TargetError
from trainer.checkpoint import Checkpoint, Checkpoints
from trainer.config import FitConfig
from trainer.origin import Origin, differences, option_differences, options_of
from trainer.progress import Progress
from trainer.rundir import CHECKPOINTS_NAME, RUN_NAME, load_run


@dataclass(frozen=True, kw_only=True)
class Start:
    """A position, and the state there.

    Attributes:
        progress: the position.
        checkpoint: the state; None where there is none yet.
    """

    progress: Progress
    checkpoint: Checkpoint | None = None


def check_finished(config: FitConfig) -> None:
    """Refuse a finished run, unless it is to be replaced or to go on.

    Raises:
        TargetError: it is finished.
    """
    if config.overwrite or config.more_epochs or not (config.out / RUN_NAME).exists():
        return
    now = options_of(config) | {"more_epochs": None}
    before = load_run(config.out).options | {"more_epochs": None}
    differ = "".join(f", with {found}" for found in option_differences(before, now))
    raise TargetError(
        config.out,
        expected="a new directory",
        found=f"a finished run{differ}",
        hint="give another --out, --more-epochs to go on with it, or --overwrite",
    )


def find_start(config: FitConfig, origin: Origin, say: Callable[[str], None]) -> Start:
    """Find out where a run with these options begins.

    `--overwrite` replaces a finished run, and an unfinished one of another command; the same
    command, which has `--overwrite` too, goes on with what it began.

    Args:
        config: the options.
        origin: what the run is made from.
        say: takes a line on a checkpoint that is damaged.

    Raises:
        TargetError: there is the run of another command, or nothing to go on with.
        ContractError: the state is damaged.
    """
    new = Start(progress=Progress(until=config.epochs))
    finished = load_run(config.out) if (config.out / RUN_NAME).exists() else None
    if finished and config.overwrite:
        return new
    try:
        checkpoint = Checkpoints(config.out / CHECKPOINTS_NAME).load(say)
    except ContractError:
        if config.overwrite:
            return new
        raise
    if checkpoint is None:
        if config.more_epochs:
            raise TargetError(
                config.out,
                expected="a finished run, with the state at its end, for --more-epochs",
                found=f"no {CHECKPOINTS_NAME} in it" if finished else "none",
            )
        return new
    progress, before = checkpoint.progress, checkpoint.origin
    # Else it is one that was cut off, be it with some more epochs of its own.
    if ended := finished is not None and progress.since < finished.epochs:
        options = before.options | {"more_epochs": config.more_epochs}
        before = msgspec.structs.replace(before, options=options)
        progress = progress.extend(config.more_epochs or 0)
    differ = differences(before, origin)
    if config.overwrite and (differ or not before.options.get("overwrite")):
        return new
    if differ:
        raise TargetError(
            config.out,
            expected="to go on with the finished run" if ended else "to go on with the run there",
            found="; ".join(differ),
            hint="give what it was made with, another --out, or --overwrite to begin anew",
        )
    return Start(progress=progress, checkpoint=checkpoint)
