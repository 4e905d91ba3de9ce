"""The batches of a dataset, as Keras takes them."""

from __future__ import annotations

import atexit
import os
import threading
from collections.abc import Collection, Mapping, Sequence
from typing import Literal

import keras
import numpy as np

from shared.errors import ConfigError, ContractError, ShardfitError
from shared.layout import Side
from trainer.batches import BatchPlan, Piece, shard_order
from trainer.dataset import Dataset, open_dataset
from trainer.encode import Batch, Float32
from trainer.features import FeatureSpec, Missing, derive_features
from trainer.feed import Feed
from trainer.label import ClassWeight, Task
from trainer.shard import Shard
from trainer.teardown import let_go_of_iterators

# Exit functions run before the interpreter is torn down.
atexit.register(let_go_of_iterators)

Arrays = tuple[Float32, Float32] | tuple[Float32, Float32, Float32]


class CSVSequence(keras.utils.PyDataset):  # type: ignore[misc]
    """Gives the batches of one side of a dataset, read ahead by processes of its own.

        model.fit(CSVSequence("data/log_quest", label="clear"), epochs=3)

    A batch is `(X, Y)`, or `(X, Y, weights)` with class weights on the training side, all float32:
    X of shape (B, F), Y of shape (B,) or, for several classes, one-hot (B, C), weights (B,).

    With `shuffle` the order is drawn anew for each epoch, from the seed and the number of the epoch
    alone. Keras shuffles the indices once more, unless it is told `fit(shuffle=False)`. That would
    make the order depend on its own random numbers, and nothing could be read ahead; so, between
    `on_epoch_begin` and `on_epoch_end`, the n-th index that is asked for gets batch n. At any other
    time, and without `shuffle`, index n is batch n.

    Attributes:
        spec: what X and Y are made of.
        feed: the worker processes; a second sequence of the same spec can be given them.
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
        drop: Collection[str] = (),
        task: Task | Literal["auto"] = "auto",
        missing: Missing = "indicator",
        class_weight: ClassWeight | None = None,
        feed: Feed | None = None,
    ) -> None:
        """Open a dataset.

        Args:
            dataset: its directory, or what `open_dataset` gave.
            label: name of the column to predict; the features are then derived from the profile.
            side: "train" or "validate".
            spec: features and label, instead of `label`.
            batch_size: records in a batch; None makes one shard one batch. Any other size cuts
                and joins shards that follow each other.
            workers: number of processes that read; 0 reads in this one.
            max_queue_size: number of batches that are read ahead. No measured reason for the
                default, beyond that it keeps two workers busy.
            timeout_s: a worker that needs longer for a shard is replaced.
            seed: of the order; 0 or more.
            shuffle: whether to draw a new order for each epoch.
            drop: names of columns to leave out; this and the next three are for `label` only.
            task: kind of task; "auto" decides by the label's values.
            missing: "indicator", or "zero" as the classic `fillna(0)`; see `derive_features`.
            class_weight: "balanced", or a weight for each class.
            feed: that of another sequence of the same spec, instead of processes of its own.

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
        self._shards = _shards_of(opened, side)
        if spec is None:
            if label is None:
                raise ConfigError("CSVSequence", expected="a label or a spec", found="neither")
            spec = derive_features(
                opened.columns,
                records=opened.records,
                label=label,
                drop=drop,
                task=task,
                missing=missing,
                class_weight=class_weight,
            )
        self.spec = spec
        self.feed = feed or Feed(spec, workers=workers, timeout_s=timeout_s)
        self.error: ShardfitError | None = None
        # The weights are for the loss that is minimised; a metric of them would be a riddle.
        self._weighted = Side(side) is Side.TRAIN
        self._shuffle = shuffle
        self._seed = seed
        records = np.array([shard.records for shard in self._shards], np.int64)
        self._plan = BatchPlan(records, batch_size)
        self._lock = threading.Lock()
        self._in_epoch = False
        self.epoch = 0

    def __len__(self) -> int:
        """Return the number of batches in an epoch."""
        return len(self._plan)

    def __getitem__(self, index: int) -> Arrays:
        """Return a batch of the present epoch; the arrays belong to the caller.

        Raises:
            IndexError: there is no such batch.
            ContractError: a shard cannot be read; the message names it.
            WorkerError: workers died or were stuck at a shard, again and again.
        """
        try:
            with self._lock:
                batch = self._read(self._batch(index))
        except ShardfitError as error:
            self.error = error
            raise
        if batch.weights is None or not self._weighted:
            return batch.x, batch.y
        return batch.x, batch.y, batch.weights

    def on_epoch_begin(self) -> None:
        """Note that an epoch begins; Keras calls this."""
        self._in_epoch = True
        self.error = None

    def on_epoch_end(self) -> None:
        """Go on to the next epoch, if every batch of this one was given.

        Keras also calls this before the first epoch, and, with `steps_per_epoch`, in the middle.
        """
        with self._lock:
            self._in_epoch = False
            if self._is_given.all():
                self._begin(self._epoch + 1)

    @property
    def epoch(self) -> int:
        """Number of the epoch whose batches are given, from 0. Set it to go on at another one."""
        return self._epoch

    @epoch.setter
    def epoch(self, epoch: int) -> None:
        with self._lock:
            self._begin(epoch)

    def shard_of(self, batch: int) -> str:
        """Return the path of the shard of a batch of this epoch, or its paths, for messages."""
        shards = dict.fromkeys(piece.shard for piece in self._plan.pieces(batch))
        return ", ".join(self._shards[shard].path for shard in shards)

    def close(self) -> None:
        """End the workers. They also end with the sequence, or with the program, however."""
        self.feed.close()

    def _begin(self, epoch: int) -> None:
        self._epoch = epoch
        if self._shuffle:
            self._plan.order(shard_order(len(self._shards), seed=self._seed, epoch=epoch))
        self._is_given = np.zeros(len(self), np.bool_)
        # The batch that each of Keras's indices stands for, and how many have been asked for.
        self._batch_of = np.full(len(self), -1, np.int64)
        self._asked = 0
        self._last = -1
        # The shard in the middle of which the last batch ended: the next one begins there.
        self._rest: dict[int, Batch] = {}

    def _batch(self, index: int) -> int:
        """Return the batch that an index stands for."""
        if not 0 <= index < len(self):
            raise IndexError(f"batch {index} of {len(self)}")
        if not (self._shuffle and self._in_epoch):
            return index
        if self._batch_of[index] < 0:
            self._batch_of[index] = self._asked
            self._asked += 1
        return int(self._batch_of[index])

    def _read(self, batch: int) -> Batch:
        # Only for who takes one batch after the other it is known what comes next.
        ahead = self.max_queue_size if batch in (0, self._last + 1) else 0
        pieces = self._plan.pieces(batch)
        last = pieces[-1]
        goes_on = last.stop < self._shards[last.shard].records
        coming = self._plan.shards_from(batch + 1, ahead)
        needed = [piece.shard for piece in pieces if piece.shard not in self._rest]
        read = self.feed.read(
            [self._shards[shard] for shard in needed],
            ahead=[self._shards[shard] for shard in coming if shard != last.shard],
            owner=self,
        )
        arrays = self._rest | dict(zip(needed, read, strict=True))
        self._rest = {last.shard: arrays[last.shard]} if goes_on else {}
        self._last = batch
        self._is_given[batch] = True
        return _join(pieces, arrays)


def _join(pieces: Sequence[Piece], arrays: Mapping[int, Batch]) -> Batch:
    """Lay pieces of shards end to end, as arrays that nobody else holds."""
    if len(pieces) == 1:
        whole = arrays[pieces[0].shard]
        if pieces[0].stop - pieces[0].start == len(whole.x):
            return whole
    parts = [(arrays[shard], slice(start, stop)) for shard, start, stop in pieces]
    weights = [part.weights[cut] for part, cut in parts if part.weights is not None]
    return Batch(
        np.concatenate([part.x[cut] for part, cut in parts]),
        np.concatenate([part.y[cut] for part, cut in parts]),
        np.concatenate(weights) if weights else None,
    )


def _shards_of(dataset: Dataset, side: Side | str) -> Sequence[Shard]:
    if side not in tuple(Side):
        raise ConfigError("side", expected=" or ".join(Side), found=repr(side))
    shards = dataset.shards[Side(side)]
    if not shards:
        raise ContractError(dataset.path, expected=f"{side} records", found="none")
    return shards
