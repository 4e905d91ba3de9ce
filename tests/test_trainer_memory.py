"""Training takes no more memory after many epochs than after a few, and little for a column."""

from __future__ import annotations

import json
import os
import random
import subprocess
import sys
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

import keras
import pytest
from measuring import run_measured
from support import write_dataset
from training import TRAINER

from trainer.sequence import CSVSequence

WIDTH = 40


def resident_bytes() -> int:
    return int(Path("/proc/self/statm").read_text().split()[1]) * os.sysconf("SC_PAGE_SIZE")


class Watch(keras.callbacks.Callback):  # type: ignore[misc]
    """Notes the memory of this process at the end of each epoch."""

    def __init__(self) -> None:
        super().__init__()
        self.found: list[int] = []

    def on_epoch_end(self, epoch: int, logs: Any = None) -> None:
        self.found.append(resident_bytes())


@pytest.mark.parametrize("cache", ["auto", "off"])
def test_memory_is_flat_over_twenty_epochs(tmp_path: Path, cache: str) -> None:
    # So wide that one batch in five, were it kept, would be more than the limit.
    header = (*(f"n{column}" for column in range(WIDTH)), "clear")
    rows = [(*(f"{n + column}.5" for column in range(WIDTH)), str(n % 2)) for n in range(20_000)]
    dataset = write_dataset(tmp_path / "log", header, rows, rows_per_shard=1000)
    # In a process of its own: in that of many tests, what they have freed is filled anew.
    command = [sys.executable, __file__, str(dataset), cache]
    found = json.loads(subprocess.check_output(command))
    assert found[-1] - found[4] < 8 << 20, found


# Columns by the sort of their encoding, and how often there is one; the others are derived.
SORTS = {"number": 8, "log": 1, "quantile": 1, "timestamp": 1, "word": 2, "hashed": 1, "text": 1}


def write_mixed(path: Path, times: int) -> None:
    """Write a dataset with so many columns of each sort, and its `features.toml`."""
    rng = random.Random(0)
    sorts = [sort for sort, count in SORTS.items() for _ in range(count * times)]
    header = [f"{sort} {number}" for number, sort in enumerate(sorts)]

    def field(sort: str) -> str:
        moment = datetime(2024, 1, 1) + timedelta(seconds=rng.randrange(10**8))
        fields = {
            "timestamp": moment.isoformat(" "),
            "word": rng.choice("abcdef"),
            "hashed": f"p{rng.randrange(50)}",
            "text": " ".join(rng.choices(["won", "lost", "the", "語"], k=5)),
        }
        return "" if rng.random() < 0.05 else fields.get(sort, f"{rng.gauss(10, 3):.2f}")

    records = [[*map(field, sorts), str(rng.randrange(2))] for _ in range(300)]
    write_dataset(path, [*header, "clear"], records, rows_per_shard=100)
    tables = [
        f'[columns."{name}"]\nencoding = "{sort}"\n'
        for name, sort in zip(header, sorts, strict=True)
        if sort in ("log", "quantile", "hashed", "text")
    ]
    path.with_suffix(".toml").write_text("".join(tables))


def test_a_column_takes_little_memory_of_the_model_that_is_saved(tmp_path: Path) -> None:
    peaks = []
    for times in (1, 12):
        write_mixed(tmp_path / f"{times}", times)
        options = ("--label", "clear", "--features", f"{times}.toml", "--epochs", 1, "--workers", 1)
        command = (TRAINER, "fit", f"{times}", "--out", f"run{times}", *options)
        done = run_measured(command, tmp_path)
        assert done.status == 0, done.stderr
        assert f"; {15 * times} columns, {63 * times} features; " in done.stderr
        peaks.append(done.peak)
    # 165 columns take 53 MiB more; with layers for each of them it was 138.
    assert peaks[1] - peaks[0] < 95, peaks


def test_long_texts_take_little_memory(tmp_path: Path) -> None:
    rng = random.Random(0)
    prose = " ".join(f"word{rng.randrange(5000)}" for _ in range(11_000))
    # 40 MB. Of each text 256 characters count.
    records = [[f"{n} {'won' if n % 2 else 'lost'} {prose}", str(n % 2)] for n in range(400)]
    write_dataset(tmp_path / "log", ["report", "clear"], records, rows_per_shard=400)
    command = (TRAINER, "fit", "log", "--label", "clear", "--out", "run", "--epochs", 1)
    done = run_measured(command, tmp_path)
    assert done.status == 0, done.stderr
    assert "; 1 columns, 32 features; " in done.stderr
    # It is 845 MiB, and was 4,996 when the saved model was tried on all the texts at once.
    assert done.peak < 1100
    assert json.loads((tmp_path / "run/run.json").read_text())["peak_memory_bytes"] < 1.5 * 2**30


def main(dataset: str, cache: Any) -> None:
    """Train, and print the memory of this process at the end of each epoch."""
    sequence = CSVSequence(dataset, label="clear", cache=cache, workers=1, batch_size=1000)
    assert sequence[0][0].nbytes == 4000 * WIDTH
    model = keras.Sequential([keras.Input((WIDTH,)), keras.layers.Dense(1, activation="sigmoid")])
    model.compile("sgd", "binary_crossentropy", jit_compile=False)
    watch = Watch()
    model.fit(sequence, epochs=20, verbose=0, shuffle=False, callbacks=[watch])
    sequence.close()
    sys.stdout.write(json.dumps(watch.found))


if __name__ == "__main__":
    main(*sys.argv[1:])
