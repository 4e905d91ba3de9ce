"""A worker is a small program of its own."""

from __future__ import annotations

from pathlib import Path

import pytest
from feeding import numbers, open_numbered, write_numbered
from support import write_dataset

from shared.layout import Side
from trainer.derive.rules import derive_features
from trainer.feeding.feed import Feed
from trainer.shards.dataset import open_dataset


def test_a_worker_imports_neither_keras_nor_tensorflow_nor_pandas(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    # One column of every kind, so that all of the encoder runs.
    header = ("power", "at", "class", "quest", "first", "clear")
    rows = [
        (
            "" if n % 7 == 0 else f"{n}.25",
            f"2025-04-{1 + n % 30:02d} 12:00:00",
            "mage" if n % 3 else "knight",
            f"Q-{n % 150}",
            "true" if n % 2 else "false",
            str(n % 2),
        )
        for n in range(300)
    ]
    dataset = open_dataset(write_dataset(tmp_path / "log", header, rows))
    spec = derive_features(dataset, label="clear")
    monkeypatch.setenv("PYTHONPROFILEIMPORTTIME", "1")
    feed = Feed(spec, workers=1)
    feed.read(dataset.shards[Side.TRAIN], owner=feed)
    feed.close()
    imported = {
        line.rpartition("|")[2].strip()
        for line in capfd.readouterr().err.splitlines()
        if line.startswith("import time:")
    }
    assert {"trainer.feeding.worker", "numpy", "pyarrow.lib"} <= imported
    # Of pandas only Arrow's attempt is there, which came to nothing.
    packages = {name.partition(".")[0] for name in imported - {"pandas"}}
    assert packages.isdisjoint({"keras", "tensorflow", "pandas", "dask"})


def test_what_a_library_prints_does_not_get_between_the_answers(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    spec, shards = open_numbered(write_numbered(tmp_path / "log", 100))
    # The interpreter imports `sitecustomize` when it starts; its thread prints all the time.
    (tmp_path / "sitecustomize.py").write_text(
        "import os, threading, time\n"
        "def chat():\n"
        "    while True:\n"
        "        os.write(1, b'noise'); time.sleep(0.001)\n"
        "os.write(1, b'noise')\n"
        "threading.Thread(target=chat, daemon=True).start()\n"
    )
    monkeypatch.setenv("PYTHONPATH", str(tmp_path))
    feed = Feed(spec, workers=1)
    found = [
        numbers(spec, batch.x)[0] for shard in shards for batch in feed.read([shard], owner=feed)
    ]
    feed.close()
    assert found == list(range(0, 100, 10))
    assert set(capfd.readouterr().err.split("noise")) == {""}
