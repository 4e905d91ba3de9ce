"""Measure how fast batches come, against the recipe that most users of Keras have.

    python benchmarks/feed.py

Makes a quest log, splits it into shards of 1,000 records, and reads its numeric columns and the
label with two workers, without a model: with `CSVSequence`, whose first epoch reads the shards and
writes the cache that the later ones read; the same without a cache; and with pandas, `fillna(0)`
and `keras.utils.PyDataset(workers=2, use_multiprocessing=True)`, whose pool forks. In turns, each
in a process of its own; prints medians of the records a second, which others on the machine
disturb, and of the processor time of the whole process tree, with their ratios.
"""

from __future__ import annotations

import statistics
import tempfile
import time
from collections.abc import Callable, Iterable
from pathlib import Path

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
EPOCHS = 4
LABEL = "clear"
CLASSIC = "classic recipe"


@click.command(help=(__doc__ or "").partition("\n")[0])
@click.option("--records", default=1_000_000, show_default=True, help="Records in the log.")
@click.option("--rounds", default=5, show_default=True, help="Measurements of each.")
@click.option("--measure", hidden=True, nargs=2, help="Measure one way on one dataset.")
def main(records: int, rounds: int, measure: tuple[str, str] | None) -> None:
    """Measure all ways in turns, or, in a process of its own, one."""
    if measure is not None:
        way, path = measure
        print(*WAYS[way](Path(path)))
        return
    print(describe_machine())
    with tempfile.TemporaryDirectory() as directory:
        dataset = make_dataset(Path(directory), records)
        rates = measure_in_turns(__file__, WAYS, dataset, rounds)
    for offset, unit in enumerate(("second", "processor second")):
        # Epoch 2 may begin before the cache is on the disk.
        medians = {
            way: (
                statistics.median(run[offset] for run in runs),
                statistics.median(rate for run in runs for rate in run[4 + offset :: 2]),
            )
            for way, runs in rates.items()
        }
        print(f"{f'records a {unit}':30} {'epoch 1':>10}  ratio {'later':>12}  ratio")
        classic = medians[CLASSIC]
        for way, (first, later) in medians.items():
            print(
                f"  {way:28} {first:10,.0f} {first / classic[0]:6.1f} "
                f"{later:12,.0f} {later / classic[1]:6.1f}"
            )


def measure_cached(dataset: Path) -> list[float]:
    """Measure CSVSequence with a cache that is not there yet."""
    with tempfile.TemporaryDirectory(dir=dataset.parent) as cache:
        return measure_sequence(dataset, cache=cache)


def measure_sequence(dataset: Path, cache: str = "off") -> list[float]:
    """Measure CSVSequence."""
    from trainer.sequence import CSVSequence

    _, others, records = numeric_columns(dataset)
    sequence = CSVSequence(
        dataset, LABEL, drop=others, missing="zero", workers=WORKERS, cache=cache
    )

    def epoch() -> Iterable[object]:
        yield from (sequence[index] for index in range(len(sequence)))
        sequence.on_epoch_end()

    rates = measure(epoch, records, lambda: sequence.feed.pids)
    sequence.close()
    return rates


def measure_classic(dataset: Path) -> list[float]:
    """Measure the classic recipe as Keras runs it: with a new pool for every epoch."""
    from keras.src.trainers.data_adapters.py_dataset_adapter import PyDatasetAdapter

    names, _, records = numeric_columns(dataset)
    features = [name for name in names if name != LABEL]
    adapter = PyDatasetAdapter(classic_sequence(dataset, features, LABEL, WORKERS))

    def epoch() -> Iterable[object]:
        adapter.on_epoch_begin()
        yield from adapter.get_numpy_iterator()
        adapter.on_epoch_end()

    return measure(epoch, records, list)


def measure(
    epoch: Callable[[], Iterable[object]], records: int, workers: Callable[[], list[int]]
) -> list[float]:
    """Return records a second and records a processor second of each epoch."""
    rates = []
    for _ in range(EPOCHS):
        start_s, start_processor_s = time.perf_counter(), processor_s(workers())
        for _ in epoch():
            pass
        rates.append(records / (time.perf_counter() - start_s))
        rates.append(records / (processor_s(workers()) - start_processor_s))
    return rates


WAYS = {
    CLASSIC: measure_classic,
    "CSVSequence without a cache": measure_sequence,
    "CSVSequence": measure_cached,
}

if __name__ == "__main__":
    main()
