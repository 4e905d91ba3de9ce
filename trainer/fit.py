"""A run: from a dataset to a trained model in a directory."""

from __future__ import annotations

from collections.abc import Callable

from trainer.config import FitConfig
from trainer.dataset import open_dataset, say_on_stderr
from trainer.features import derive_features
from trainer.quiet import import_keras
from trainer.rundir import Run, check_target, save_run


def run(config: FitConfig, *, say: Callable[[str], None] = say_on_stderr) -> Run:
    """Train a model on a dataset, and write the directory of the run.

    Args:
        config: the options.
        say: takes lines of prose.

    Returns:
        What `run.json` holds.

    Raises:
        ShardfitError: an expected failure; the directory is then left without its `run.json`.
    """
    check_target(config.out, overwrite=config.overwrite)
    dataset = open_dataset(config.dataset, say=say)
    spec = derive_features(
        dataset.columns,
        records=dataset.records,
        label=config.label,
        drop=config.drop,
        task=config.task,
        missing=config.missing,
        class_weight=config.class_weight,
    )
    for note in spec.notes:
        say(note)
    # Not before now: a name that was mistyped is told at once, not after three seconds of imports.
    import_keras()
    from trainer.training import train

    done = train(spec, dataset, config, say)
    save_run(done, config.out)
    return done
