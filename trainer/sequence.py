"""The batches of a dataset, as Keras takes them."""

from __future__ import annotations

import atexit
import itertools
import os
import threading
import time
from collections.abc import Callable, Collection
from pathlib import Path
from typing import Literal, NoReturn

import keras
import numpy as np

from shared.errors import ConfigError, ContractError, ShardfitError
from shared.layout import Side
from trainer.config import Missing
from trainer.derive.rules import derive_features
from trainer.features.encode import Float32
from trainer.features.label import ClassWeight, Task
from trainer.features.spec import FeatureSpec
from trainer.features.weights import weigh_classes
from trainer.feeding.batch_reader import BatchReader
from trainer.feeding.feed import Feed
from trainer.feeding.teardown import let_go_of_iterators
from trainer.shards.dataset import Dataset, open_dataset, say_on_stderr

# Exit functions run before the interpreter is torn down.
atexit.register(let_go_of_iterators)

# Of the batches that Keras's queue holds. With 1000 records, eight have up to 2,000 features.
_QUEUE_BYTES = 64 << 20
# Of the shards that workers have read and hold until they are asked for.
_WORKERS_BYTES = 64 << 20

Arrays = tuple[Float32, Float32] | tuple[Float32, Float32, Float32]


class CSVSequence(keras.utils.PyDataset):  # type: ignore[misc]
    """Gives the batches of one side of a dataset, read ahead by processes of its own.

        model.fit(CSVSequence("data/log_quest", label="clear"), epochs=3)

    A batch is `(X, Y)`, or `(X, Y, weights)` where the records have weights, all float32: X of
    shape (B, F), Y of shape (B,) or, for several classes, one-hot (B, C), weights (B,). These are
    those of a column, of the classes (on the training side), or the product of both.

    The first epoch reads the shards, in worker processes, and writes what they become to a cache
    (see `trainer.caching.cache`). Later epochs, and later programs, read that.

    With `shuffle` the order is drawn anew for each epoch, from the seed and the number of the epoch
    alone: the same from the shards and from the cache. Keras shuffles the indices once more, unless
    it is told `fit(shuffle=False)`. That would make the order depend on its own random numbers, and
    nothing could be read ahead; so, from `on_epoch_begin` until every batch was given, the n-th
    index that is asked for gets batch n. At any other time, and without `shuffle`, index n is
    batch n.

    Attributes:
        spec: what X and Y are made of.
        feed: the worker processes; a second sequence of the same spec can be given them.
        records: number of records in an epoch.
        batch_size: number of records in every batch but the last.
        asked_s, handed_s: when each batch of the epoch was asked for and handed over, the last
            time, by `time.monotonic`; shape (number of batches,).
        error: the last expected failure. Keras raises it from `fit` in a wrapping of its own, so
            that who calls `fit` may want to raise this one instead.
    """

    def __init__(
        self,
        dataset: str | os.PathLike[str] | Dataset,
        label: str | None = None,
        *,
        side: Side | str = Side.TRAIN,
        spec: FeatureSpec | None = None,
        batch_size: int | None = None,
        workers: int = 2,
        max_queue_size: int = 8,
        timeout_s: float = 60.0,
        seed: int = 0,
        shuffle: bool = True,
        shuffle_window: int | None = None,
        cache: str | os.PathLike[str] = "auto",
        cache_bytes: int | None = None,
        drop: Collection[str] = (),
        keep: Collection[str] = (),
        task: Task | Literal["auto"] = "auto",
        missing: Missing = "indicator",
        class_weight: ClassWeight | None = None,
        features: str | os.PathLike[str] | None = None,
        weight_column: str | None = None,
        transform: str | None = None,
        feed: Feed | None = None,
        say: Callable[[str], None] = say_on_stderr,
    ) -> None:
        """Open a dataset.

        Args:
            dataset: its directory, or what `open_dataset` gave.
            label: name of the column to predict; the features are then derived from the profile.
            side: "train", "validate" or "test".
            spec: features and label, instead of `label`.
            batch_size: records in a batch; None takes as many as a shard has, or fewer if what the
                default model makes of them would take more than 64 MiB.
            workers: number of processes that read shards, or fewer if their arrays would take more
                than 64 MiB; 0 reads in this one.
            max_queue_size: number of batches that are read ahead, or fewer if they would take more
                than 64 MiB. No measured reason for the default, beyond that it keeps two workers
                busy.
            timeout_s: a worker that needs longer for a shard is replaced.
            seed: of the order; 0 or more.
            shuffle: whether to draw a new order for each epoch.
            shuffle_window: number of shards whose records are mixed; None is 64, or fewer if these
                would take more than 64 MiB. Without a cache, twice as many are in memory.
            cache: "auto" is beside the dataset, or else in the user's cache directory; "off"; or a
                directory.
            cache_bytes: what the caches in that directory may take together; None is what the
                disk has free.
            drop: names of columns to leave out; this and the next seven are for `label` only.
            keep: names of columns to learn from although they look like identifiers.
            task: kind of task; "auto" decides by the label's values.
            missing: "indicator", or "zero" as the classic `fillna(0)`; see `derive_features`.
            class_weight: "balanced", or a weight for each class.
            features: a file that says how columns become features; see `trainer.derive.edits`.
            weight_column: name of the column that says how much each record counts.
            transform: `MODULE:FUNCTION` of your own instead; see `trainer.features.transform`.
            feed: that of another sequence of the same spec, instead of processes of its own.
            say: takes a line of prose.

        Raises:
            ConfigError: an argument that cannot be meant.
            ContractError: the dataset is not whole, or has no such side.
        """
        # Keras must not add processes or threads: the workers are the feed's.
        super().__init__(workers=1, use_multiprocessing=False, max_queue_size=max_queue_size)
        if seed < 0:
            raise ConfigError("seed", expected="0 or more", found=str(seed))
        if max_queue_size < 0:
            raise ConfigError("max_queue_size", expected="0 or more", found=str(max_queue_size))
        opened = dataset if isinstance(dataset, Dataset) else open_dataset(dataset)
        side = _side_of(opened, side)
        if spec is None:
            if label is None:
                raise ConfigError("CSVSequence", expected="a label or a spec", found="neither")
            spec = derive_features(
                opened,
                label=label,
                drop=drop,
                keep=keep,
                task=task,
                missing=missing,
                class_weight=class_weight,
                features=None if features is None else Path(features),
                weight_column=weight_column,
                transform=transform,
            )
        self.spec = spec
        if feed is None:
            largest = max(shard.records for shard in opened.shards[side])
            most = max(
                1, _WORKERS_BYTES // (4 * max(largest, 1) * (spec.width + spec.label.outputs))
            )
            feed = Feed(spec, workers=min(workers, most), timeout_s=timeout_s)
        self.feed = feed
        self.error: ShardfitError | None = None
        # Those are for the loss that is minimised; a metric of them would be a riddle.
        self._has_class_weights = side is Side.TRAIN and bool(spec.label.weights)
        self._is_shuffled = shuffle
        self._reader = BatchReader(
            opened,
            self.feed,
            side=side,
            batch_size=batch_size,
            seed=seed if shuffle else None,
            window=shuffle_window,
            cache=cache,
            cache_bytes=cache_bytes,
            say=say,
        )
        self.records = self._reader.records
        self.batch_size = self._reader.plan.batch_size
        batch_bytes = 4 * self.batch_size * (spec.width + spec.label.outputs)
        self.max_queue_size = min(max_queue_size, max(1, _QUEUE_BYTES // batch_bytes))
        self._lock = threading.Lock()
        self._in_epoch = False
        self.epoch = 0

    def __len__(self) -> int:
        """Return the number of batches in an epoch."""
        return len(self._reader.plan)

    def __getitem__(self, index: int) -> Arrays:
        """Return a batch of the present epoch; the arrays belong to the caller.

        Raises:
            IndexError: there is no such batch.
            ContractError: a shard cannot be read; the message names it.
            WorkerError: workers died or were stuck at a shard, again and again.
        """
        try:
            asked_s = time.monotonic()
            with self._lock:
                number = self._batch(index)
                batch = self._reader.read(number, ahead=self.max_queue_size)
                self._is_given[number] = True
        except ShardfitError as error:
            self.error = error
            raise
        weights = batch.weights
        if self._has_class_weights:
            of_class = weigh_classes(batch.y, self.spec.label)
            weights = of_class if weights is None else weights * of_class
        self.asked_s[number], self.handed_s[number] = asked_s, time.monotonic()
        return (batch.x, batch.y) if weights is None else (batch.x, batch.y, weights)

    def __reduce__(self) -> NoReturn:
        """Refuse to be copied, as Keras's own worker processes would.

        Raises:
            ConfigError: always.
        """
        raise ConfigError(
            "CSVSequence",
            found="an attempt to copy or pickle it, such as for use_multiprocessing",
            hint="it has worker processes of its own; in another process, open another one",
        )

    def on_epoch_begin(self) -> None:
        """Note that an epoch begins; Keras calls this."""
        self._in_epoch = True
        self.error = None

    def on_epoch_end(self) -> None:
        """Go on to the next epoch, if every batch of this one was given.

        Keras also calls this before the first epoch, and, with `steps_per_epoch`, in the middle:
        then its thread reads ahead meanwhile.
        """
        with self._lock:
            if self._is_given.all():
                self._in_epoch = False
                self._begin(self._epoch + 1)

    @property
    def epoch(self) -> int:
        """Number of the epoch whose batches are given, from 0. Set it to go on at another one."""
        return self._epoch

    @epoch.setter
    def epoch(self, epoch: int) -> None:
        with self._lock:
            self._begin(epoch)

    @property
    def is_cached(self) -> bool:
        """Whether the batches come from a cache."""
        return self._reader.is_cached

    @property
    def is_cache_refused(self) -> bool:
        """Whether there is no cache for a reason that was said."""
        return self._reader.is_cache_refused

    def shard_of(self, batch: int, count: int = 1) -> str:
        """Return the path of a shard of batches of this epoch, and how many more, for messages."""
        with self._lock:
            paths = map(self._reader.shards_of, range(batch, batch + count))
            first, *others = dict.fromkeys(itertools.chain.from_iterable(paths))
        more = f" and {len(others)} more" * bool(others)
        return first + more

    def close(self) -> None:
        """End the workers. They also end with the sequence, or with the program, however."""
        # Keras's thread may still read ahead: without the workers, it soon lets go of the lock.
        self.feed.close()
        with self._lock:
            self._reader.close()

    def _begin(self, epoch: int) -> None:
        self._epoch = epoch
        self._reader.begin(epoch)
        self._is_given = np.zeros(len(self), np.bool_)
        self.asked_s, self.handed_s = np.zeros(len(self)), np.zeros(len(self))
        # The batch that each of Keras's indices stands for, and how many have been asked for.
        self._batch_of = np.full(len(self), -1, np.int64)
        self._asked = 0

    def _batch(self, index: int) -> int:
        """Return the batch that an index stands for."""
        if not 0 <= index < len(self):
            raise IndexError(f"batch {index} of {len(self)}")
        if not (self._is_shuffled and self._in_epoch):
            return index
        if self._batch_of[index] < 0:
            self._batch_of[index] = self._asked
            self._asked += 1
        return int(self._batch_of[index])


def _side_of(dataset: Dataset, side: Side | str) -> Side:
    """Return a side by its name, if the dataset has it."""
    if side not in tuple(Side):
        raise ConfigError("side", expected="train, validate or test", found=repr(side))
    if not dataset.shards[Side(side)]:
        raise ContractError(dataset.path, expected=f"{side} records", found="none")
    return Side(side)
