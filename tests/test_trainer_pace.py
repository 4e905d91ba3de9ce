"""What a person is told of speed and waiting."""

from __future__ import annotations

import os
import threading
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest
from feeding import write_numbered
from patience import PATIENCE_S

from trainer.caching import writer
from trainer.sequence import CSVSequence
from trainer.training import pace
from trainer.training.intake import Intake
from trainer.training.pace import PaceLine, WaitMeter, advise


@pytest.fixture
def sequence(tmp_path: Path) -> CSVSequence:
    """Four batches of ten records."""
    dataset = write_numbered(tmp_path / "log", 40)
    return CSVSequence(dataset, "clear", workers=0, cache="off")


def train(
    sequence: CSVSequence, meter: WaitMeter, said: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Go through an epoch by a clock of its own, in seconds from its begin."""
    line = PaceLine(said.append, meter, epochs=1)
    clock = iter((0.0, 0.0, 2.0, 3.0, 5.0, 8.0, 8.0))
    # Not `time.monotonic` itself: other threads of this process ask it, too.
    monkeypatch.setattr(pace, "time", SimpleNamespace(monotonic=lambda: next(clock)))
    # The first was asked for late and waited for; the second was there before it was needed; the
    # third came one second late, the fourth two.
    sequence.asked_s = np.array([0.5, 0.9, 1.0, 4.0])
    sequence.handed_s = np.array([1.0, 1.0, 4.0, 7.0])
    for callback in (meter, line):
        callback.on_epoch_begin(0)
    for batch in range(4):
        meter.on_train_batch_end(batch)
    line.on_epoch_end(0, {"loss": 0.25})


def test_a_step_waits_from_the_end_of_the_one_before_until_its_batch_is_there(
    sequence: CSVSequence, monkeypatch: pytest.MonkeyPatch
) -> None:
    said: list[str] = []
    meter = WaitMeter(Intake(sequence))
    train(sequence, meter, said, monkeypatch)

    assert (meter.seconds, meter.waited_s) == (8.0, 0.5 + 0.0 + 1.0 + 2.0)
    assert said == ["epoch 1/1  loss 0.25  8.0 s  5 records/s  44% waiting"]


def test_steps_in_one_call_wait_for_all_their_batches(
    sequence: CSVSequence, monkeypatch: pytest.MonkeyPatch
) -> None:
    meter = WaitMeter(Intake(sequence))
    clock = iter((0.0, 5.0, 9.0))
    monkeypatch.setattr(pace, "time", SimpleNamespace(monotonic=lambda: next(clock)))
    sequence.asked_s = np.array([0.5, 1.0, 2.5, 4.0])
    sequence.handed_s = np.array([1.0, 2.0, 3.0, 7.0])

    meter.on_epoch_begin(0)
    meter.on_train_batch_end(2)
    meter.on_train_batch_end(5)  # Keras counts on past the end of the epoch

    assert (meter.seconds, meter.waited_s) == (9.0, 0.5 + 1.0 + 0.5 + 2.0)


@pytest.mark.parametrize(
    ("waited_s", "shards_waited_s", "options", "is_cached", "advice"),
    [
        (4.0, 4.0, {"workers": 2, "cache": "auto"}, True, ""),
        (71.0, 71.0, {"workers": 2, "cache": "off"}, False, "--cache auto"),
        (71.0, 71.0, {"workers": 2, "cache": "auto"}, True, "--workers 2 -> 7"),
        (99.0, 99.0, {"workers": 0, "cache": "auto"}, False, "--workers 0 -> 8"),
        (50.0, 50.0, {"workers": 8, "cache": "auto"}, True, "only the epoch that makes the cache"),
        (50.0, 10.0, {"workers": 2, "cache": "auto"}, True, "the disk of the cache is slower"),
    ],
)
def test_it_is_told_what_to_change_where_training_waits(
    sequence: CSVSequence,
    monkeypatch: pytest.MonkeyPatch,
    waited_s: float,
    shards_waited_s: float,
    options: dict[str, object],
    is_cached: bool,
    advice: str,
) -> None:
    monkeypatch.setattr(os, "cpu_count", lambda: 8)
    monkeypatch.setattr(CSVSequence, "is_cached", is_cached)
    meter = WaitMeter(Intake(sequence))
    meter.seconds, meter.waited_s, meter.shards_waited_s = 100.0, waited_s, shards_waited_s
    found = advise(meter, **options)  # type: ignore[arg-type]
    assert found.startswith(advice)
    assert bool(found) == bool(advice)


def test_of_a_cache_is_told_what_became_of_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    # The disk takes its time, so that the epoch ends before the cache is complete.
    complete, ended = writer.CacheWriter._complete, threading.Event()

    def complete_later(of: writer.CacheWriter) -> None:
        ended.wait(PATIENCE_S)
        complete(of)

    monkeypatch.setattr(writer.CacheWriter, "_complete", complete_later)
    monkeypatch.setattr(os, "cpu_count", lambda: 2)
    dataset = write_numbered(tmp_path / "log", 40)
    (tmp_path / "file").touch()

    for cache, batches, told in [
        ("file", 4, "a cache would help, but none could be made, as was said above"),
        ("caches", 3, "a cache would help, and the next epoch that reads every shard makes one"),
        ("caches", 4, "only the epoch that makes the cache waits: later ones, and later runs, do"),
    ]:
        said: list[str] = []
        sequence = CSVSequence(
            dataset, "clear", workers=0, cache=tmp_path / cache, shuffle_window=1, say=said.append
        )
        meter = WaitMeter(Intake(sequence))
        meter.seconds, meter.waited_s, meter.shards_waited_s = 100.0, 50.0, 50.0
        for batch in range(batches):
            sequence[batch]
        assert not sequence.is_cached
        ended.set()
        sequence.close()
        ended.clear()
        assert advise(meter, workers=2, cache="auto").startswith(told)
        assert bool(said) == (cache == "file")
