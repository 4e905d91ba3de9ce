"""Batches as Keras takes them."""

from __future__ import annotations

import csv
import os
import pickle
import signal
import subprocess
import sys
import textwrap
import threading
from collections.abc import Iterator
from pathlib import Path

import keras
import numpy as np
import pytest
from feeding import ROOT, alive, holds_within, numbers, write_numbered

from shared.errors import ConfigError, ContractError
from shared.layout import Side, list_shards
from trainer.feeding.feed import Feed
from trainer.sequence import Arrays, CSVSequence


@pytest.fixture(scope="module")
def dataset(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """12 training shards and 3 for validation, the last of each with 5 records."""
    return write_numbered(tmp_path_factory.mktemp("sequence") / "log", 115, validate=25)


@pytest.fixture(scope="module")
def feed(dataset: Path) -> Iterator[Feed]:
    """One pair of workers for most tests."""
    feed = CSVSequence(dataset, "clear", cache="off").feed
    yield feed
    feed.close()


def records_of(sequence: CSVSequence) -> list[list[tuple[int, float]]]:
    """Return (number, label) of each record, a list for each batch."""
    batches = [sequence[index] for index in range(len(sequence))]
    return [
        list(zip(numbers(sequence.spec, batch[0]), batch[1].tolist(), strict=True))
        for batch in batches
    ]


def records_in(dataset: Path, side: Side) -> list[tuple[int, float]]:
    """Return the same from the files, as Python's `csv` reads them."""
    found = []
    for path in list_shards(dataset, side):
        with path.open(newline="") as lines:
            found += [(int(float(r["n"])), float(r["clear"])) for r in csv.DictReader(lines)]
    return found


@pytest.mark.parametrize(("workers", "window"), [(0, 1), (2, 3), (2, None)])
@pytest.mark.parametrize(
    ("batch_size", "batches"), [(None, 12), (1, 115), (7, 17), (10, 12), (64, 2), (1000, 1)]
)
def test_every_epoch_has_every_record_exactly_once(
    dataset: Path,
    feed: Feed,
    batch_size: int | None,
    batches: int,
    workers: int,
    window: int | None,
) -> None:
    sequence = CSVSequence(
        dataset,
        spec=feed.spec,
        batch_size=batch_size,
        shuffle_window=window,
        workers=workers,
        feed=feed if workers else None,
        cache="off",
    )
    assert len(sequence) == batches
    epochs = []
    for _ in range(2):
        found = records_of(sequence)
        assert [len(batch) for batch in found if batch_size][:-1] == [batch_size] * (
            batches - 1 if batch_size else 0
        )
        records = [record for batch in found for record in batch]
        assert sorted(records) == records_in(dataset, Side.TRAIN)
        epochs.append(records)
        sequence.on_epoch_end()
    assert epochs[0] != epochs[1]


def test_without_shuffling_the_records_keep_their_order(dataset: Path, feed: Feed) -> None:
    for batch_size in (None, 8):
        sequence = CSVSequence(
            dataset,
            spec=feed.spec,
            side="validate",
            batch_size=batch_size,
            shuffle=False,
            feed=feed,
            cache="off",
        )
        found = [record for batch in records_of(sequence) for record in batch]
        assert found == records_in(dataset, Side.VALIDATE)


def test_the_order_is_a_function_of_seed_and_epoch(dataset: Path, feed: Feed) -> None:
    def order(seed: int, epoch: int) -> list[list[tuple[int, float]]]:
        sequence = CSVSequence(dataset, spec=feed.spec, seed=seed, feed=feed, cache="off")
        sequence.epoch = epoch
        return records_of(sequence)

    first = order(0, 1)
    sequence = CSVSequence(dataset, spec=feed.spec, feed=feed, cache="off")
    records_of(sequence)
    sequence.on_epoch_end()
    assert sequence.epoch == 1
    assert records_of(sequence) == first == order(0, 1)
    assert first != order(1, 1)


@pytest.mark.parametrize("batch_size", [None, 7])
def test_a_batch_is_the_same_whenever_and_by_whomever_it_is_asked_for(
    dataset: Path, feed: Feed, batch_size: int | None
) -> None:
    sequence = CSVSequence(dataset, spec=feed.spec, batch_size=batch_size, feed=feed, cache="off")
    expected = records_of(sequence)
    found: dict[int, list[int]] = {}

    def ask(indexes: list[int]) -> None:
        for index in indexes:
            found[index] = numbers(sequence.spec, sequence[index][0])

    backwards = list(reversed(range(len(sequence))))
    threads = [threading.Thread(target=ask, args=(backwards[i::3],)) for i in range(3)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(30.0)
    assert found == {i: [number for number, _ in batch] for i, batch in enumerate(expected)}


def test_an_index_beyond_the_end_is_refused(dataset: Path, feed: Feed) -> None:
    sequence = CSVSequence(dataset, spec=feed.spec, feed=feed, cache="off")
    for index in (-1, len(sequence)):
        with pytest.raises(IndexError):
            sequence[index]


def test_a_batch_belongs_to_who_asked_for_it(dataset: Path, feed: Feed) -> None:
    sequence = CSVSequence(dataset, spec=feed.spec, batch_size=4, feed=feed, cache="off")
    expected = records_of(sequence)
    for index in range(len(sequence)):
        for array in sequence[index]:
            array[:] = -1.0
    assert records_of(sequence) == expected


def test_the_shards_of_a_batch_are_named(dataset: Path, feed: Feed) -> None:
    sequence = CSVSequence(
        dataset, spec=feed.spec, batch_size=15, shuffle=False, feed=feed, cache="off"
    )
    directory = dataset / "splited"
    assert sequence.shard_of(1) == f"{directory / 'split_data_00001.csv'} and 1 more"


def test_class_weights_are_for_training_only(dataset: Path) -> None:
    sequence = CSVSequence(
        dataset, "clear", class_weight={"1": 3.0}, workers=0, batch_size=15, cache="off"
    )
    batch = sequence[0]
    assert len(batch) == 3
    assert batch[2].tolist() == np.where(batch[1] == 1, 3.0, 1.0).tolist()
    validate = CSVSequence(dataset, spec=sequence.spec, side="validate", workers=0, cache="off")
    assert len(validate[0]) == 2


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
    dataset: Path,
) -> None:
    train = Recorder(dataset, "clear", seed=5, cache="off")
    validate = CSVSequence(
        dataset, spec=train.spec, side="validate", shuffle=False, feed=train.feed, cache="off"
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
        again = CSVSequence(dataset, spec=train.spec, seed=5, feed=train.feed, cache="off")
        again.epoch = epoch
        assert found == [[number for number, _ in batch] for batch in records_of(again)]
    train.close()
    assert holds_within(lambda: not alive(epochs.pids[0]), 10.0)


def test_a_short_last_batch_does_not_make_keras_trace_again(dataset: Path, feed: Feed) -> None:
    traced = []

    class Traced(keras.Sequential):  # type: ignore[misc]
        def train_step(self, data: object) -> object:
            traced.append("train")
            return super().train_step(data)

        def test_step(self, data: object) -> object:
            traced.append("test")
            return super().test_step(data)

    # The last of 8 batches has 3 records, the last of 2 has 9.
    train = CSVSequence(dataset, spec=feed.spec, batch_size=16, feed=feed, cache="off")
    validate = CSVSequence(
        dataset, spec=feed.spec, side="validate", batch_size=16, feed=feed, cache="off"
    )
    model = Traced([keras.Input((1,)), keras.layers.Dense(1, activation="sigmoid")])
    model.compile("sgd", "binary_crossentropy")
    model.fit(train, validation_data=validate, epochs=2, verbose=0)
    assert sorted(traced) == ["test", "train"]


def test_steps_per_epoch_go_through_all_records_before_any_comes_again(
    dataset: Path, feed: Feed
) -> None:
    train = Recorder(dataset, spec=feed.spec, feed=feed, cache="off")
    epochs = Epochs(train)
    small_model().fit(train, steps_per_epoch=4, epochs=3, verbose=0, callbacks=[epochs])
    found = [record for epoch in epochs.records for batch in epoch for record in batch]
    assert sorted(found) == list(range(115))


def test_the_order_holds_while_keras_goes_from_one_part_of_an_epoch_to_the_next(
    dataset: Path, feed: Feed
) -> None:
    plain, parted = (CSVSequence(dataset, spec=feed.spec, feed=feed, cache="off") for _ in range(2))
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


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"label": None}, "CSVSequence: expected a label or a spec, found neither"),
        ({"label": "klear"}, "--label klear: expected one of the columns n, clear"),
        ({"seed": -1}, "seed: expected 0 or more, found -1"),
        ({"max_queue_size": -1}, "max_queue_size: expected 0 or more, found -1"),
        ({"shuffle_window": 0}, "shuffle_window: expected 1 or more, found 0"),
        ({"batch_size": 0}, "batch_size: expected 1 or more, found 0"),
        ({"workers": -1}, "workers: expected 0 or more, found -1"),
        ({"side": "third"}, "side: expected train, validate or test, found 'third'"),
    ],
)
def test_arguments_that_cannot_be_meant_are_refused(
    dataset: Path, arguments: dict[str, object], message: str
) -> None:
    with pytest.raises(ConfigError, match=message):
        CSVSequence(dataset, **{"label": "clear", **arguments}, cache="off")  # type: ignore[arg-type]


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
    model.fit(train, validation_data=validate, epochs=2, verbose=0, callbacks=[tell])
    print("done", flush=True)
"""


def start_script(path: Path, dataset: Path, tell: str) -> subprocess.Popen[str]:
    """Start the script; it prints the workers' ids whenever `tell` is called."""
    path.write_text(textwrap.dedent(SCRIPT))
    return subprocess.Popen(
        [sys.executable, str(path), str(dataset), tell],
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
    with start_script(tmp_path / "script.py", dataset, moment) as program:
        assert program.stdout is not None
        assert program.stderr is not None
        pids = [int(pid) for pid in program.stdout.readline().split()]
        assert len(alive(pids)) == 2
        program.send_signal(signal.SIGINT)
        try:
            # It takes 1 s: TensorFlow's own end. The rest is room for a busy machine.
            program.wait(10.0)
        finally:
            program.kill()
        assert holds_within(lambda: not alive(pids), 10.0)
        assert "KeyboardInterrupt" in program.stderr.read()
    assert sorted(path.name for path in tmp_path.iterdir() if path.is_file()) == ["script.py"]
    assert list(tmp_path.rglob("*.partial")) == []


def test_a_script_without_a_guard_ends_by_itself(dataset: Path, tmp_path: Path) -> None:
    program = start_script(tmp_path / "script.py", dataset, "on_epoch_end")
    out, _ = program.communicate(timeout=60.0)
    first, second, last = out.splitlines()
    assert last == "done"
    assert first == second
    assert alive(int(pid) for pid in first.split()) == []


def test_a_copy_for_another_process_is_refused_in_plain_words(tmp_path: Path) -> None:
    sequence = CSVSequence(write_numbered(tmp_path / "log", 30), label="clear", workers=0)
    with pytest.raises(ConfigError, match="CSVSequence: found an attempt to copy or pickle it"):
        pickle.dumps(sequence)
