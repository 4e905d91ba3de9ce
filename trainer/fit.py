"""A run: from a dataset to a trained model in a directory."""

from __future__ import annotations

import contextlib
from collections.abc import Callable

from shared.layout import Side
from shared.lock import hold
from trainer.config import FitConfig
from trainer.derive.notes import describe_left_out, describe_size
from trainer.derive.rules import derive_features
from trainer.interrupt import Interrupts
from trainer.quiet import import_keras
from trainer.rundir import CHECKPOINTS_NAME, Run, check_target, save_run
from trainer.shards.dataset import open_dataset, say_on_stderr
from trainer.training.checkpoint import KEPT_AT_END, Checkpoints
from trainer.training.origin import origin_of
from trainer.training.start import check_finished, find_start


def run(config: FitConfig, *, say: Callable[[str], None] = say_on_stderr) -> Run:
    """Train a model on a dataset, and write the directory of the run.

    A run that was cut off, however, goes on after its last checkpoint, and ends with the weights
    and the history of one that was not.

    Args:
        config: the options.
        say: takes lines of prose.

    Returns:
        What `run.json` holds.

    Raises:
        ShardfitError: an expected failure; the directory is then left without its `run.json`.
        Interrupted: a KeyboardInterrupt, for SIGINT and SIGTERM.
    """
    check_target(config.out)
    interrupts = Interrupts()
    held = contextlib.ExitStack()
    with interrupts.caught(), interrupts.closing(held.close):
        held.enter_context(hold(config.out))
        check_finished(config)
        dataset = open_dataset(config.dataset, say=say)
        spec = derive_features(
            dataset,
            label=config.label,
            drop=config.drop,
            keep=config.keep,
            task=config.task,
            missing=config.missing,
            class_weight=config.class_weight,
            features=config.features,
            weight_column=config.weight_column,
            transform=config.transform,
        )
        for line in describe_left_out(spec.left_out):
            say(line)
        for line in describe_size(spec, dataset.shards[Side.TRAIN]):
            say(line)
        start = find_start(config, origin_of(config, dataset, spec), say)
        # Not before now: a name that was mistyped is told at once, not after seconds of imports.
        with interrupts.loading():
            import_keras(interrupts.closing)
            from trainer.training.backend import prepared_backend
            from trainer.training.train import train

        with prepared_backend(config, say):
            done = train(spec, dataset, config, start, interrupts, say)
        save_run(done, config.out)
        Checkpoints(config.out / CHECKPOINTS_NAME).prune(KEPT_AT_END)
        return done
