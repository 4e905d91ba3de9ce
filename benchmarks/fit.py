"""Measure an epoch of training from shards and from the cache, against arrays in memory.

    python benchmarks/fit.py

Makes a quest log, splits it into shards of 1,000 records, and trains the same model on the same
batches: from arrays in memory, from a cache, from that with as many steps in one call of TensorFlow
as `--steps-per-execution auto` makes, from shards with two workers; and, with the numeric columns
alone, with the classic recipe (pandas, Keras's pool) and with `tf.data.experimental`'s
`make_csv_dataset`. Two models: a 3 x 256 MLP on the numeric columns, and the default model on all.
A round is an epoch of each way, one after the other, with the model that way was compiled with.
Prints medians of the time of an epoch, and of its ratio to memory's in the same round: of seconds,
which others on the machine disturb, and of processor seconds of the whole process tree.
"""

from __future__ import annotations

import statistics
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import click
from rounds import (
    classic_sequence,
    describe_machine,
    make_dataset,
    measure_in_turns,
    numeric_columns,
    processor_s,
)

WORKERS = 2
BATCH_SIZE = 1000
STEPS = 100_000
LABEL = "clear"
MODELS = ("3 x 256 MLP", "default model")
MEMORY = "arrays in memory"
CALLS = "cache, several steps a call"
OTHERS = ("classic recipe", "make_csv_dataset")
WAYS = (MEMORY, "cache", CALLS, "shards", *OTHERS)


@click.command(help=(__doc__ or "").partition("\n")[0])
@click.option("--records", default=200_000, show_default=True, help="Records in the log.")
@click.option("--rounds", default=7, show_default=True, help="Epochs of each way.")
@click.option("--measure", hidden=True, nargs=2, help="Measure one model on one dataset.")
def main(records: int, rounds: int, measure: tuple[str, str] | None) -> None:
    """Measure both models, each in a process of its own."""
    if measure is not None:
        model, path = measure
        print(*measure_model(model, Path(path), rounds))
        return
    print(describe_machine())
    with tempfile.TemporaryDirectory() as directory:
        dataset = make_dataset(Path(directory), records)
        trained = numeric_columns(dataset)[2]
        found = measure_in_turns(__file__, MODELS, dataset, 1, ["--rounds", str(rounds)])
    for model, (numbers,) in found.items():
        ways = WAYS if model == MODELS[0] else WAYS[:4]
        times = [numbers[i : i + 2 * len(ways)] for i in range(0, len(numbers), 2 * len(ways))]
        print(f"{model:28} {'records/s':>10} {'time':>7} {'processor time':>15}")
        for i, way in enumerate(ways):
            seconds = statistics.median(turn[2 * i] for turn in times)
            wall = statistics.median(turn[2 * i] / turn[0] for turn in times)
            processor = statistics.median(turn[2 * i + 1] / turn[1] for turn in times)
            print(f"  {way:26} {trained / seconds:10,.0f} {wall:7.2f} {processor:15.2f}")


def measure_model(name: str, dataset: Path, rounds: int) -> list[float]:
    """Return seconds and processor seconds of an epoch of each way, round after round."""
    import numpy as np

    from trainer.sequence import CSVSequence
    from trainer.training.steps import choose_steps

    _, others, _ = numeric_columns(dataset)
    options: dict[str, Any] = {"label": LABEL, "batch_size": BATCH_SIZE}
    if name == MODELS[0]:
        options |= {"drop": others, "missing": "zero"}
    shards = CSVSequence(dataset, workers=WORKERS, cache="off", **options)
    cached = CSVSequence(dataset, workers=0, cache=str(dataset.with_name("cache")), **options)
    batches = [cached[index] for index in range(len(cached))]
    x, y = (np.concatenate(arrays) for arrays in list(zip(*batches, strict=True))[:2])
    cached.close()
    cached = CSVSequence(dataset, workers=0, cache=str(dataset.with_name("cache")), **options)
    inputs: dict[str, Callable[[], dict[str, Any]]] = {
        MEMORY: lambda: {"x": x, "y": y, "batch_size": BATCH_SIZE},
        "cache": lambda: {"x": cached},
        CALLS: lambda: {"x": cached},
        "shards": lambda: {"x": shards},
    }
    if name == MODELS[0]:
        names = [feature.column for feature in shards.spec.numeric]
        inputs["classic recipe"] = lambda: {"x": classic_sequence(dataset, names, LABEL, WORKERS)}
        inputs["make_csv_dataset"] = lambda: {"x": csv_dataset(dataset, names)}
    models = {way: make_model(shards.spec) for way in inputs}
    models[CALLS].steps_per_execution = choose_steps(
        models[CALLS], batch_size=BATCH_SIZE, steps=STEPS
    )
    ways = list(inputs)
    found: dict[str, list[float]] = {way: [] for way in ways}
    for turn in range(rounds + 1):
        # Each way comes first now and then.
        for way in ways[turn % len(ways) :] + ways[: turn % len(ways)]:
            given = inputs[way]()
            start_s, start_cpu_s = time.perf_counter(), processor_s(shards.feed.pids)
            models[way].fit(**given, shuffle=False, verbose=0)
            found[way] += [
                time.perf_counter() - start_s,
                processor_s(shards.feed.pids) - start_cpu_s,
            ]
    shards.close()
    # The first turn compiles.
    turns = range(1, rounds + 1)
    return [n for turn in turns for way in ways for n in found[way][2 * turn : 2 * turn + 2]]


def make_model(spec: Any) -> Any:
    """Return the default model, which is an MLP of 3 x 256 where all columns are numbers."""
    from trainer.training.model import build_model, compile_model

    model = build_model(spec)
    compile_model(model, spec, learning_rate=0.002, steps=STEPS)
    return model


def csv_dataset(dataset: Path, features: list[str]) -> Any:
    """Return numeric columns as TensorFlow reads CSV itself, with its defaults."""
    import tensorflow as tf

    from shared.layout import Side, list_shards

    names = [*features, LABEL]
    read = tf.data.experimental.make_csv_dataset(
        [str(path) for path in list_shards(dataset, Side.TRAIN)],
        BATCH_SIZE,
        select_columns=names,
        column_defaults=[0.0] * len(names),
        label_name=LABEL,
        num_epochs=1,
        shuffle=False,
    )
    return read.map(lambda columns, label: (tf.stack(list(columns.values()), axis=1), label))


if __name__ == "__main__":
    main()
