"""Training itself: everything of a run that needs Keras."""

from __future__ import annotations

import contextlib
import gc
from collections.abc import Callable

import keras

from shared.errors import ConfigError, ModelError
from shared.heap import give_back_all
from shared.layout import Side
from shared.memory import peak_memory_bytes
from trainer.config import FitConfig
from trainer.derive.feature_file import save_features
from trainer.features.spec import FeatureSpec
from trainer.interrupt import Interrupted, Interrupts
from trainer.rundir import CHECKPOINTS_NAME, FEATURES_NAME, Run, discard_run
from trainer.sequence import CSVSequence
from trainer.serving.export import exported_names
from trainer.shards.dataset import Dataset
from trainer.training.checkpoint import Checkpoints
from trainer.training.intake import Intake
from trainer.training.journal import Journal
from trainer.training.loop import run_epochs
from trainer.training.model import build_model, build_state, compile_model, load_model_function
from trainer.training.monitor import find_monitor
from trainer.training.origin import options_of, origin_of
from trainer.training.pace import PaceLine, WaitMeter, advise
from trainer.training.progress import Progress
from trainer.training.recorder import Recorder, restore_best
from trainer.training.saver import Saver
from trainer.training.start import Start
from trainer.training.steps import set_steps_per_execution
from trainer.versions import find_versions

Say = Callable[[str], None]


def train(
    spec: FeatureSpec,
    dataset: Dataset,
    config: FitConfig,
    start: Start,
    interrupts: Interrupts,
    say: Say,
) -> Run:
    """Train a model, and write all of the run's directory but its `run.json`.

    Args:
        spec: what X and Y are made of.
        dataset: where the records are.
        config: the options.
        start: where training begins.
        interrupts: what may end it between two steps.
        say: takes lines of prose.

    Returns:
        What `run.json` is to hold.

    Raises:
        ShardfitError: an expected failure.
        Interrupted: a signal came; the state is saved.
    """
    core = load_model_function(config.model, spec) if config.model else build_model(spec)
    saver = Saver(core, spec, dataset, config.out, config.model)
    records, validation_records = dataset.count(Side.TRAIN), dataset.count(Side.VALIDATE)
    say(
        f"{records:,} training records, {validation_records:,} validation records; "
        f"{len(spec.features)} columns, {spec.width} features; "
        f"{spec.label.task} ({spec.label.mapping}); {core.count_params():,} weights"
    )
    progress, wait_fraction, advice = start.progress, 0.0, ""
    if progress.is_done(config.patience):
        say(f"{config.out}: goes on with the saving of the model")
        checkpoint = Checkpoints(config.out / CHECKPOINTS_NAME).load(say)
        for weight, value in restore_best(core, checkpoint):
            weight.assign(value)
        # A power loss may have taken the ends of the logs, which no checkpoint waits for.
        Journal(config.out, progress.rows).close()
    else:
        progress, wait_fraction, advice = _fit(saver, config, start, interrupts, say)
        # The batches that are in memory, and the mapped caches: the saving takes as much.
        _let_go()
    if progress.best is None:
        raise ModelError(
            "training",
            expected="a finite loss on the validation side",
            found="none in any epoch",
            hint="lower --learning-rate",
        )
    saver.save()
    return Run(
        options=options_of(config),
        spec=spec,
        core=core.name,
        inputs=exported_names(core, spec),
        records=records,
        validation_records=validation_records,
        shards=sum(len(dataset.shards[side]) for side in (Side.TRAIN, Side.VALIDATE)),
        epochs=progress.epoch,
        best_epoch=progress.best + 1,
        metrics=progress.rows[progress.best].metrics,
        seconds=progress.seconds,
        wait_fraction=wait_fraction,
        advice=advice,
        peak_memory_bytes=max(progress.peak_memory_bytes, peak_memory_bytes()),
        versions=find_versions(),
    )


def _fit(
    saver: Saver, config: FitConfig, start: Start, interrupts: Interrupts, say: Say
) -> tuple[Progress, float, str]:
    """Train to the end, and give the model the weights of its best epoch.

    Returns:
        How far it came, the share of the time that was waiting, and what to change about it.
    """
    core, spec, dataset, progress = saver.core, saver.spec, saver.dataset, start.progress
    train, validate = _open_sides(spec, dataset, config, say)
    steps = (progress.until - progress.since) * len(train)
    _compile(core, spec, config, steps=steps, before=progress.since * len(train))
    set_steps_per_execution(core, config, batch_size=train.batch_size, steps=steps)
    build_state(core, spec)
    monitor = find_monitor(core, config.monitor, has_validation=validate is not None)
    if start.is_new:
        # Now, too: that a model of one's own cannot be saved must not be found out after hours.
        # Nothing is refused any more, so what it replaces may go.
        saver.save(discard=discard_run)
        # The models that were made for it; training takes as much, and may be long.
        _let_go()
        if spec.transform is None:
            save_features(spec, dataset.columns, config.out / FEATURES_NAME)
    journal = Journal(config.out, progress.rows)
    recorder = Recorder(
        origin_of(config, dataset, spec),
        start,
        checkpoints=Checkpoints(config.out / CHECKPOINTS_NAME),
        journal=journal,
        interrupts=interrupts,
        monitor=monitor,
        patience=config.patience,
        every=config.checkpoint_every,
        peak_memory_bytes=lambda: peak_memory_bytes(train.feed.pids),
    )
    intake, held_out = Intake(train), Intake(validate) if validate else None
    meter = WaitMeter(intake)
    line = PaceLine(say, meter, epochs=progress.until)

    def ended_here() -> str | None:
        is_saved = recorder.saved.position == recorder.progress.position
        return _goes_on_at(recorder, train) if is_saved else None

    with contextlib.ExitStack() as stack:
        for close in (train.close, (validate or train).close, journal.close, line.clear):
            stack.enter_context(interrupts.closing(close))
        interrupts.ended_here = ended_here
        try:
            if not start.is_new:
                say(f"{config.out}: goes on at {progress.spell(len(train))}")
            with interrupts.translated():
                run_epochs(core, intake, held_out, recorder, meter, line)
        except (Interrupted, Exception) as error:
            if not interrupts.held:
                recorder.save()
            if isinstance(error, Interrupted):
                error.message = _goes_on_at(recorder, train)
            # TensorFlow wraps what a sequence raises in an error of its own.
            elif failure := train.error or (validate and validate.error):
                raise failure from None
            raise
    for weight, value in zip(core.weights, recorder.best, strict=bool(recorder.best)):
        weight.assign(value)
    advice = advise(meter, workers=config.workers, cache=config.cache)
    return recorder.progress, meter.fraction, advice


def _let_go() -> None:
    """Free what is only in cycles, of which Keras's models are full."""
    gc.collect()
    give_back_all()


def _goes_on_at(recorder: Recorder, train: CSVSequence) -> str:
    place = recorder.saved.spell(len(train))
    return f"interrupted; the same command goes on at {place}"


def _open_sides(
    spec: FeatureSpec, dataset: Dataset, config: FitConfig, say: Say
) -> tuple[CSVSequence, CSVSequence | None]:
    """Return the batches of the training side, and of the validation side, if there is one."""
    train = CSVSequence(
        dataset,
        spec=spec,
        batch_size=config.batch_size,
        workers=config.workers,
        max_queue_size=config.max_queue_size,
        timeout_s=config.worker_timeout,
        seed=config.seed,
        shuffle_window=config.shuffle_window,
        cache=config.cache,
        cache_bytes=config.cache_bytes,
        say=say,
    )
    validate = None
    if dataset.shards[Side.VALIDATE]:
        validate = CSVSequence(
            dataset,
            side=Side.VALIDATE,
            spec=spec,
            batch_size=config.batch_size,
            max_queue_size=config.max_queue_size,
            shuffle=False,
            cache=config.cache,
            cache_bytes=config.cache_bytes,
            feed=train.feed,
            say=say,
        )
    return train, validate


def _compile(
    core: keras.Model, spec: FeatureSpec, config: FitConfig, *, steps: int, before: int
) -> None:
    """Give a core model its loss and optimiser, unless its own code has.

    Args:
        core: the model.
        spec: tells the task.
        config: the options.
        steps: number of batches in the whole training.
        before: number of batches that were trained before that.

    Raises:
        ConfigError: an option that would be lost, or does not fit.
    """
    warmup = round(config.warmup * steps) if config.warmup < 1 else int(config.warmup)
    if core.compiled:
        changed = {
            "--warmup": warmup > 0,
            "--learning-rate": config.learning_rate != FitConfig.learning_rate,
        }
        for option in (option for option, is_given in changed.items() if is_given):
            raise ConfigError(
                option,
                expected="a model that is not compiled",
                found=f"one that --model {config.model} has compiled",
                hint="give its optimiser a rate, or a schedule, there",
            )
        if config.jit_compile != "auto":
            core.jit_compile = config.jit_compile == "on"
        return
    if warmup >= steps:
        raise ConfigError(
            "--warmup", expected=f"fewer than the {steps:,} batches of all", found=f"{warmup:,}"
        )
    compile_model(
        core,
        spec,
        learning_rate=config.learning_rate,
        steps=steps,
        before=before,
        warmup=warmup,
        jit_compile="auto" if config.jit_compile == "auto" else config.jit_compile == "on",
    )
