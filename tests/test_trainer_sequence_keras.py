"""Keras drives a sequence: in `fit`, in parts of an epoch, and from a user's own script."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import textwrap
from pathlib import Path

import keras
import pytest
from feeding import ROOT, alive, comes_true, numbers, write_numbered
from patience import PATIENCE_S

from shared.errors import ContractError
from trainer.feeding.feed import Feed
from trainer.sequence import Arrays, CSVSequence


class Recorder(CSVSequence):
    """Notes the numbers of the records of every batch that was asked for in an epoch."""

    seen: list[list[int]]

    def on_epoch_begin(self) -> None:
        super().on_epoch_begin()
        self.seen = []

    def __getitem__(self, index: int) -> Arrays:
        batch = super().__getitem__(index)
        if hasattr(self, "seen"):
            self.seen.append(numbers(self.spec, batch[0]))
        return batch


class Epochs(keras.callbacks.Callback):  # type: ignore[misc]
    """Keeps what a sequence gave in each epoch, and by which processes."""

    def __init__(self, sequence: Recorder) -> None:
        super().__init__()
        self.sequence = sequence
        self.records: list[list[list[int]]] = []
        self.pids: list[list[int]] = []

    def on_epoch_end(self, epoch: int, logs: object = None) -> None:
        self.records.append(self.sequence.seen)
        self.pids.append(self.sequence.feed.pids)


def small_model() -> keras.Model:
    model = keras.Sequential([keras.Input((1,)), keras.layers.Dense(1, activation="sigmoid")])
    model.compile("sgd", "binary_crossentropy")
    return model


def test_keras_fits_with_the_same_workers_in_every_epoch_and_for_validation(
    numbered: Path,
) -> None:
    train = Recorder(numbered, "clear", seed=5, cache="off")
    validate = CSVSequence(
        numbered, spec=train.spec, side="validate", shuffle=False, feed=train.feed, cache="off"
    )
    epochs = Epochs(train)
    history = small_model().fit(
        train, validation_data=validate, epochs=2, verbose=0, callbacks=[epochs]
    )
    assert len(history.history["val_loss"]) == 2
    assert epochs.pids[0] == epochs.pids[1]
    assert len(set(epochs.pids[0])) == 2
    # Keras shuffles the indices too, unless told not to: the order is (seed, epoch)'s all the same.
    for epoch, found in enumerate(epochs.records):
        again = CSVSequence(numbered, spec=train.spec, seed=5, feed=train.feed, cache="off")
        again.epoch = epoch
        assert found == [numbers(again.spec, again[index][0]) for index in range(len(again))]
    train.close()
    assert comes_true(lambda: not alive(epochs.pids[0]))


def test_a_short_last_batch_does_not_make_keras_trace_again(numbered: Path, pair: Feed) -> None:
    traced = []

    class Traced(keras.Sequential):  # type: ignore[misc]
        def train_step(self, data: object) -> object:
            traced.append("train")
            return super().train_step(data)

        def test_step(self, data: object) -> object:
            traced.append("test")
            return super().test_step(data)

    # The last of 8 batches has 3 records, the last of 2 has 9.
    train = CSVSequence(numbered, spec=pair.spec, batch_size=16, feed=pair, cache="off")
    validate = CSVSequence(
        numbered, spec=pair.spec, side="validate", batch_size=16, feed=pair, cache="off"
    )
    model = Traced([keras.Input((1,)), keras.layers.Dense(1, activation="sigmoid")])
    model.compile("sgd", "binary_crossentropy")
    model.fit(train, validation_data=validate, epochs=2, verbose=0)
    assert sorted(traced) == ["test", "train"]


def test_steps_per_epoch_go_through_all_records_before_any_comes_again(
    numbered: Path, pair: Feed
) -> None:
    train = Recorder(numbered, spec=pair.spec, feed=pair, cache="off")
    epochs = Epochs(train)
    small_model().fit(train, steps_per_epoch=4, epochs=3, verbose=0, callbacks=[epochs])
    found = [record for epoch in epochs.records for batch in epoch for record in batch]
    assert sorted(found) == list(range(115))


def test_the_order_holds_while_keras_goes_from_one_part_of_an_epoch_to_the_next(
    numbered: Path, pair: Feed
) -> None:
    plain, parted = (
        CSVSequence(numbered, spec=pair.spec, feed=pair, cache="off") for _ in range(2)
    )
    expected = [numbers(plain.spec, plain[index][0]) for index in range(12)]
    found = []
    for place, index in enumerate([7, 2, 11, 5, 0, 9, 1, 3, 8, 4, 10, 6]):
        if place in (0, 4, 8):
            parted.on_epoch_begin()
        found.append(numbers(parted.spec, parted[index][0]))
        # One more is read ahead before the next part begins.
        if place in (2, 6):
            parted.on_epoch_end()
    assert found == expected


def test_the_error_of_a_shard_is_kept_for_who_called_fit(tmp_path: Path) -> None:
    train = CSVSequence(write_numbered(tmp_path / "log", 100), "clear", shuffle=False, cache="off")
    lost = tmp_path / "log/splited/split_data_00007.csv"
    lost.unlink()
    with pytest.raises(Exception, match=r"split_data_00007\.csv"):
        small_model().fit(train, verbose=0, shuffle=False)
    assert isinstance(train.error, ContractError)
    assert str(train.error).startswith(f"{lost}: expected a shard")
    train.close()


# The classic recipe, as in its users' scripts: neither a `__main__` guard nor `shuffle=False`. The
# model is a global, and Keras leaves a validation's iterator on it when it is interrupted there.
SCRIPT = """
    import sys
    import time
    import keras
    from trainer.sequence import CSVSequence

    class Slow(CSVSequence):
        # So that TensorFlow's thread is still reading when Ctrl-C comes.
        def __getitem__(self, index):
            time.sleep(0.01)
            return super().__getitem__(index)

    train = Slow(sys.argv[1], "clear", batch_size=2)
    validate = Slow(sys.argv[1], spec=train.spec, side="validate", batch_size=1, feed=train.feed)
    model = keras.Sequential([keras.layers.Dense(1, activation="sigmoid")])
    model.compile("sgd", "binary_crossentropy")

    class Tell(keras.callbacks.Callback):
        def tell(self, *_, **__):
            print(*train.feed.pids, flush=True)

    tell = Tell()
    setattr(tell, sys.argv[2], tell.tell)
    model.fit(train, validation_data=validate, epochs=int(sys.argv[3]), verbose=0,
              callbacks=[tell])
    print("done", flush=True)
"""


def start_script(path: Path, dataset: Path, tell: str, *, epochs: int) -> subprocess.Popen[str]:
    """Start the script; it prints the workers' ids whenever `tell` is called."""
    path.write_text(textwrap.dedent(SCRIPT))
    return subprocess.Popen(
        [sys.executable, str(path), str(dataset), tell, str(epochs)],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        cwd=path.parent,
        env=os.environ | {"PYTHONPATH": str(ROOT)},
    )


@pytest.mark.parametrize("moment", ["on_train_batch_end", "on_test_batch_end"])
def test_ctrl_c_in_a_script_without_a_guard_ends_it_and_its_workers(
    tmp_path: Path, moment: str
) -> None:
    dataset = write_numbered(tmp_path / "log", 115, validate=25)
    # So many that they do not end before they are interrupted.
    with start_script(tmp_path / "script.py", dataset, moment, epochs=1000) as program:
        assert program.stdout is not None
        assert program.stderr is not None
        pids = [int(pid) for pid in program.stdout.readline().split()]
        assert len(alive(pids)) == 2
        program.send_signal(signal.SIGINT)
        try:
            program.wait(PATIENCE_S)
        finally:
            program.kill()
        assert comes_true(lambda: not alive(pids))
        assert "KeyboardInterrupt" in program.stderr.read()
    assert sorted(path.name for path in tmp_path.iterdir() if path.is_file()) == ["script.py"]
    assert list(tmp_path.rglob("*.partial")) == []


def test_a_script_without_a_guard_ends_by_itself(numbered: Path, tmp_path: Path) -> None:
    program = start_script(tmp_path / "script.py", numbered, "on_epoch_end", epochs=2)
    out, _ = program.communicate(timeout=PATIENCE_S)
    first, second, last = out.splitlines()
    assert last == "done"
    assert first == second
    assert alive(int(pid) for pid in first.split()) == []
