"""Batches as Keras takes them."""

from __future__ import annotations

import csv
import pickle
import threading
from pathlib import Path

import numpy as np
import pytest
from feeding import numbers, write_numbered
from patience import PATIENCE_S

import trainer.sequence
from shared.errors import ConfigError
from shared.layout import Side, list_shards
from trainer.feeding.feed import Feed
from trainer.sequence import CSVSequence


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
    numbered: Path,
    pair: Feed,
    batch_size: int | None,
    batches: int,
    workers: int,
    window: int | None,
) -> None:
    sequence = CSVSequence(
        numbered,
        spec=pair.spec,
        batch_size=batch_size,
        shuffle_window=window,
        workers=workers,
        feed=pair if workers else None,
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
        assert sorted(records) == records_in(numbered, Side.TRAIN)
        epochs.append(records)
        sequence.on_epoch_end()
    assert epochs[0] != epochs[1]


def test_without_shuffling_the_records_keep_their_order(numbered: Path, pair: Feed) -> None:
    for batch_size in (None, 8):
        sequence = CSVSequence(
            numbered,
            spec=pair.spec,
            side="validate",
            batch_size=batch_size,
            shuffle=False,
            feed=pair,
            cache="off",
        )
        found = [record for batch in records_of(sequence) for record in batch]
        assert found == records_in(numbered, Side.VALIDATE)


def test_the_order_is_a_function_of_seed_and_epoch(numbered: Path, pair: Feed) -> None:
    def order(seed: int, epoch: int) -> list[list[tuple[int, float]]]:
        sequence = CSVSequence(numbered, spec=pair.spec, seed=seed, feed=pair, cache="off")
        sequence.epoch = epoch
        return records_of(sequence)

    first = order(0, 1)
    sequence = CSVSequence(numbered, spec=pair.spec, feed=pair, cache="off")
    records_of(sequence)
    sequence.on_epoch_end()
    assert sequence.epoch == 1
    assert records_of(sequence) == first == order(0, 1)
    assert first != order(1, 1)


@pytest.mark.parametrize("batch_size", [None, 7])
def test_a_batch_is_the_same_whenever_and_by_whomever_it_is_asked_for(
    numbered: Path, pair: Feed, batch_size: int | None
) -> None:
    sequence = CSVSequence(numbered, spec=pair.spec, batch_size=batch_size, feed=pair, cache="off")
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
        thread.join(PATIENCE_S)
    assert found == {i: [number for number, _ in batch] for i, batch in enumerate(expected)}


def test_an_index_beyond_the_end_is_refused(numbered: Path, pair: Feed) -> None:
    sequence = CSVSequence(numbered, spec=pair.spec, feed=pair, cache="off")
    for index in (-1, len(sequence)):
        with pytest.raises(IndexError):
            sequence[index]


def test_a_batch_belongs_to_who_asked_for_it(numbered: Path, pair: Feed) -> None:
    sequence = CSVSequence(numbered, spec=pair.spec, batch_size=4, feed=pair, cache="off")
    expected = records_of(sequence)
    for index in range(len(sequence)):
        for array in sequence[index]:
            array[:] = -1.0
    assert records_of(sequence) == expected


def test_the_shards_of_a_batch_are_named(numbered: Path, pair: Feed) -> None:
    sequence = CSVSequence(
        numbered, spec=pair.spec, batch_size=15, shuffle=False, feed=pair, cache="off"
    )
    directory = numbered / "splited"
    assert sequence.shard_of(1) == f"{directory / 'split_data_00001.csv'} and 1 more"


def test_class_weights_are_for_training_only(numbered: Path) -> None:
    sequence = CSVSequence(
        numbered, "clear", class_weight={"1": 3.0}, workers=0, batch_size=15, cache="off"
    )
    batch = sequence[0]
    assert len(batch) == 3
    assert batch[2].tolist() == np.where(batch[1] == 1, 3.0, 1.0).tolist()
    validate = CSVSequence(numbered, spec=sequence.spec, side="validate", workers=0, cache="off")
    assert len(validate[0]) == 2


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
    numbered: Path, arguments: dict[str, object], message: str
) -> None:
    with pytest.raises(ConfigError, match=message):
        CSVSequence(numbered, **{"label": "clear", **arguments}, cache="off")  # type: ignore[arg-type]


def test_a_copy_for_another_process_is_refused_in_plain_words(tmp_path: Path) -> None:
    sequence = CSVSequence(write_numbered(tmp_path / "log", 30), label="clear", workers=0)
    with pytest.raises(ConfigError, match="CSVSequence: found an attempt to copy or pickle it"):
        pickle.dumps(sequence)


@pytest.mark.parametrize(("most_bytes", "workers"), [(64 << 20, 2), (1, 1)])
def test_fewer_workers_hold_large_shards(
    most_bytes: int, workers: int, numbered: Path, pair: Feed, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(trainer.sequence, "_WORKERS_BYTES", most_bytes)
    sequence = CSVSequence(numbered, spec=pair.spec, cache="off")
    assert len(sequence[0][0]) == 10
    assert len(sequence.feed.pids) == workers
    sequence.close()
