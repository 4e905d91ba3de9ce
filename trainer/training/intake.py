"""The place where Keras takes its batches: those of an epoch, from any of them on."""

from __future__ import annotations

import threading

import keras

from trainer.sequence import Arrays, CSVSequence


class Intake(keras.utils.PyDataset):  # type: ignore[misc]
    """Gives the batches of an epoch from a certain one on, in their order.

    `await_batches` waits for batches in the thread that calls it. Within a step, the wait would be
    one of TensorFlow's, which no signal can end, and an error would leave a step half done.

    Attributes:
        sequence: whose batches they are.
        start: the batch that Keras begins with, and counts as 0; to be set between its calls.
    """

    def __init__(self, sequence: CSVSequence) -> None:
        """Begin with the first batch of an epoch."""
        # Keras must not add processes or threads: the workers are the feed's.
        super().__init__(workers=1, use_multiprocessing=False)
        self.sequence = sequence
        self.start = 0
        self._lock = threading.Lock()
        self._given = 0
        self._waiting: dict[int, Arrays] = {}

    def __len__(self) -> int:
        """Return the number of batches that are left of the epoch."""
        return len(self.sequence) - self.start

    def __getitem__(self, index: int) -> Arrays:
        """Return a batch; the errors are those of `CSVSequence`."""
        with self._lock:
            arrays = self._waiting.pop(index, None) or self.sequence[self.start + index]
            self._given = index + 1
            return arrays

    def await_batches(self, first: int, count: int) -> None:
        """Wait until batches were given, or can be at once. Their errors come here.

        Args:
            first: index of the first one.
            count: how many, or those up to the end of the epoch.

        Raises:
            ContractError: a shard cannot be read; the message names it.
            WorkerError: workers died or were stuck at a shard, again and again.
        """
        for index in range(first, min(first + count, len(self))):
            self._await_batch(index)

    def done_after(self, index: int) -> int:
        """Return how many batches of the epoch are done, where Keras says that one is.

        The last of several steps in one call may have an index behind the end of the epoch.
        """
        return min(self.start + index + 1, len(self.sequence))

    def _await_batch(self, index: int) -> None:
        # Without the lock: who holds it may be reading ahead.
        if index < self._given:
            return
        with self._lock:
            if error := self.sequence.error:
                raise error
            if index >= self._given and index not in self._waiting:
                self._waiting[index] = self.sequence[self.start + index]

    def begin_epoch(self, epoch: int) -> None:
        """Give the batches of another epoch; Keras's own numbers may begin anywhere."""
        with self._lock:
            self.sequence.epoch = epoch

    def on_epoch_begin(self) -> None:
        """Note that Keras now asks for batch after batch."""
        with self._lock:
            self._given = 0
            self._waiting.clear()
        # Of a part of an epoch it is not said: the sequence would begin with its first batch.
        if not self.start:
            self.sequence.on_epoch_begin()

    def on_epoch_end(self) -> None:
        """Note that an epoch ends."""
        if not self.start:
            self.sequence.on_epoch_end()
