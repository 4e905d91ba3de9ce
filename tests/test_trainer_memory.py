"""Training takes no more memory after many epochs than after a few."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import keras
import pytest
from support import write_dataset

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
