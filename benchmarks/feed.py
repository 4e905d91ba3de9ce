"""How fast batches come: CSVSequence, and the classic recipe of Keras's users.

    python benchmarks/feed.py

Makes a quest log, splits it into shards of 1,000 records, and reads its numeric columns and the
label with two workers, without a model: with `CSVSequence`, and with pandas, `fillna(0)` and
`keras.utils.PyDataset(workers=2, use_multiprocessing=True)`, whose pool forks. In turns, each in a
process of its own; prints the medians, in records a second, and their ratio.
"""

from __future__ import annotations

import os
import platform
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterable
from pathlib import Path

import click

ROOT = Path(__file__).resolve().parents[1]
WORKERS = 2
EPOCHS = 3
LABEL = "clear"


@click.command(help=(__doc__ or "").partition("\n")[0])
@click.option("--records", default=400_000, show_default=True, help="Records in the log.")
@click.option("--rounds", default=5, show_default=True, help="Measurements of each.")
@click.option("--measure", hidden=True, nargs=2, help="Measure one way on one dataset.")
def main(records: int, rounds: int, measure: tuple[str, str] | None) -> None:
    """Measure all ways in turns, or, in a process of its own, one."""
    if measure is not None:
        way, path = measure
        print(*WAYS[way](Path(path)))
        return
    print(f"{os.cpu_count()} cores, {platform.platform()}, Python {platform.python_version()}")
    with tempfile.TemporaryDirectory() as directory:
        dataset = make_dataset(Path(directory), records)
        rates: dict[str, list[list[float]]] = {way: [] for way in WAYS}
        for _ in range(rounds):
            for way, runs in rates.items():
                runs.append(measure_apart(way, dataset))
    medians = {}
    for way, runs in rates.items():
        first = statistics.median(run[0] for run in runs)
        medians[way] = statistics.median(rate for run in runs for rate in run[1:])
        print(f"{way:14} epoch 1 {first:>9,.0f}/s   later {medians[way]:>9,.0f}/s")
    print(f"ratio of the later epochs: {medians['CSVSequence'] / medians['classic recipe']:.1f}")


def make_dataset(directory: Path, records: int) -> Path:
    """Make a quest log, and split it; return the dataset."""
    source = directory / "quest_log.csv"
    make = [str(ROOT / "data/make_quest_log.py"), "--records", str(records), "--out", str(source)]
    split = ["-m", "sharder.cli", "split", str(source), "--out", str(directory / "data")]
    for command in (make, [*split, "--name", "log_quest"]):
        subprocess.run([sys.executable, *command], check=True, cwd=ROOT, capture_output=True)
    source.unlink()
    return directory / "data/log_quest"


def measure_apart(way: str, dataset: Path) -> list[float]:
    """Return the rate of each epoch, in records a second, measured in another process."""
    command = [sys.executable, __file__, "--measure", way, str(dataset)]
    environment = os.environ | {"PYTHONPATH": str(ROOT), "TF_CPP_MIN_LOG_LEVEL": "3"}
    found = subprocess.run(
        command, check=False, capture_output=True, text=True, env=environment, timeout=300
    )
    if found.returncode:
        sys.exit(found.stderr)
    return [float(rate) for rate in found.stdout.split()]


def numeric_columns(dataset: Path) -> tuple[list[str], list[str], int]:
    """Return the names of the numeric columns, those of the others, and the number of records."""
    from shared.layout import Side
    from shared.schema import ColumnType
    from trainer.dataset import open_dataset

    opened = open_dataset(dataset)
    numeric = (ColumnType.INTEGER, ColumnType.NUMBER)
    names = [column.name for column in opened.columns if column.type in numeric]
    others = [column.name for column in opened.columns if column.type not in numeric]
    return names, others, opened.count(Side.TRAIN)


def measure_sequence(dataset: Path) -> list[float]:
    """Measure CSVSequence."""
    from trainer.sequence import CSVSequence

    _, others, records = numeric_columns(dataset)
    sequence = CSVSequence(dataset, LABEL, drop=others, missing="zero", workers=WORKERS)

    def epoch() -> Iterable[object]:
        yield from (sequence[index] for index in range(len(sequence)))
        sequence.on_epoch_end()

    return measure(epoch, records)


def measure_classic(dataset: Path) -> list[float]:
    """Measure what users write, as Keras runs it: with a new pool for every epoch."""
    import keras
    import numpy as np
    import pandas as pd
    from keras.src.trainers.data_adapters.py_dataset_adapter import PyDatasetAdapter

    from shared.layout import Side, list_shards

    names, _, records = numeric_columns(dataset)
    shards = list_shards(dataset, Side.TRAIN)
    features = [name for name in names if name != LABEL]

    class Classic(keras.utils.PyDataset):  # type: ignore[misc]
        def __len__(self) -> int:
            return len(shards)

        def __getitem__(self, index: int) -> tuple[object, object]:
            frame = pd.read_csv(shards[index], usecols=names).fillna(0)
            return frame[features].to_numpy(np.float32), frame[LABEL].to_numpy(np.float32)

    adapter = PyDatasetAdapter(Classic(workers=WORKERS, use_multiprocessing=True))

    def epoch() -> Iterable[object]:
        adapter.on_epoch_begin()
        yield from adapter.get_numpy_iterator()
        adapter.on_epoch_end()

    return measure(epoch, records)


def measure(epoch: Callable[[], Iterable[object]], records: int) -> list[float]:
    """Return the rate of each epoch, in records a second."""
    rates = []
    for _ in range(EPOCHS):
        start_s = time.perf_counter()
        for _ in epoch():
            pass
        rates.append(records / (time.perf_counter() - start_s))
    return rates


WAYS = {"CSVSequence": measure_sequence, "classic recipe": measure_classic}

if __name__ == "__main__":
    main()
