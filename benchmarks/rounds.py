"""Measures several ways in turns, each in a process of its own, on a dataset made for it."""

from __future__ import annotations

import os
import platform
import resource
import subprocess
import sys
import time
from collections.abc import Collection, Iterable, Sequence
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]


def describe_machine() -> str:
    """Return what the figures are from; a load above 0 tells that others were at work too."""
    load = os.getloadavg()[0]
    return (
        f"{os.cpu_count()} cores, load {load:.1f} before the start, {platform.platform()}, "
        f"Python {platform.python_version()}"
    )


def make_dataset(directory: Path, records: int) -> Path:
    """Make a quest log, and split it; return the dataset."""
    source = directory / "quest_log.csv"
    make = [str(ROOT / "data/make_quest_log.py"), "--records", str(records), "--out", str(source)]
    split = ["-m", "sharder.cli", "split", str(source), "--out", str(directory / "data")]
    for command in (make, [*split, "--name", "log_quest"]):
        subprocess.run([sys.executable, *command], check=True, cwd=ROOT, capture_output=True)
    source.unlink()
    return directory / "data/log_quest"


def measure_in_turns(
    program: str, ways: Iterable[str], dataset: Path, rounds: int, options: Sequence[str] = ()
) -> dict[str, list[list[float]]]:
    """Return what `program --measure WAY DATASET` prints, for each way a list for each round."""
    found: dict[str, list[list[float]]] = {way: [] for way in ways}
    for _ in range(rounds):
        for way, runs in found.items():
            runs.append(_measure([program, "--measure", way, str(dataset), *options]))
    return found


def _measure(arguments: Sequence[str]) -> list[float]:
    command = [sys.executable, *arguments]
    environment = os.environ | {"PYTHONPATH": str(ROOT), "TF_CPP_MIN_LOG_LEVEL": "3"}
    done = subprocess.run(
        command, check=False, capture_output=True, text=True, env=environment, timeout=900
    )
    if done.returncode:
        sys.exit(done.stderr)
    return [float(number) for number in done.stdout.split()]


def numeric_columns(dataset: Path) -> tuple[list[str], list[str], int]:
    """Return the names of the numeric columns, those of the others, and the number of records."""
    from shared.layout import Side
    from shared.schema import ColumnType
    from trainer.shards.dataset import open_dataset

    opened = open_dataset(dataset)
    numeric = (ColumnType.INTEGER, ColumnType.NUMBER)
    names = [column.name for column in opened.columns if column.type in numeric]
    others = [column.name for column in opened.columns if column.type not in numeric]
    return names, others, opened.count(Side.TRAIN)


def classic_sequence(dataset: Path, features: list[str], label: str, workers: int) -> object:
    """Return what users write: pandas, `fillna(0)`, and Keras's pool, which forks."""
    import keras
    import numpy as np
    import pandas as pd

    from shared.layout import Side, list_shards

    shards = list_shards(dataset, Side.TRAIN)

    class Classic(keras.utils.PyDataset):  # type: ignore[misc]
        def __len__(self) -> int:
            return len(shards)

        def __getitem__(self, index: int) -> tuple[object, object]:
            frame = pd.read_csv(shards[index], usecols=[*features, label]).fillna(0)
            return frame[features].to_numpy(np.float32), frame[label].to_numpy(np.float32)

    return Classic(workers=workers, use_multiprocessing=True)


def processor_s(workers: Collection[int]) -> float:
    """Return the processor seconds of this process, its ended children and these workers."""
    own = sum(
        usage.ru_utime + usage.ru_stime
        for usage in map(resource.getrusage, (resource.RUSAGE_SELF, resource.RUSAGE_CHILDREN))
    )
    return own + sum(time.clock_gettime(_clock_of(pid)) for pid in workers)


def _clock_of(pid: int) -> int:
    # As clock_getcpuclockid(3) on Linux: the complement of the id; 2 is the whole process.
    return ~pid << 3 | 2
