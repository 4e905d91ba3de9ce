"""A worker: a small program that reads shards for the trainer.

It imports NumPy and Arrow, neither Keras nor TensorFlow, and pandas only for a function of the
user's own, so that it starts in 0.2 s and takes 90 MB. `trainer.feeding.process` starts it, through
`trainer.feeding.bootstrap`, with

    descriptor 0    requests come in; it ends when the trainer does, and then so does the worker
    descriptor 1    is the trainer's standard error, for whatever a library may print
    arguments       two descriptors: of a file with the feature specification, and of the pipe that
                    answers go out to; the trainer's process
"""

from __future__ import annotations

import io
import os
import select
import traceback

import msgspec
import pyarrow as pa

from shared.errors import ShardfitError
from shared.heap import give_back_memory
from shared.printable import printable
from trainer.features.encode import Encoder
from trainer.features.spec import FeatureSpec
from trainer.features.transform import make_encoder
from trainer.feeding.wire import Failed, Hello, Piece, pack, pack_batch, unpack_shards
from trainer.shards.read import read_shard
from trainer.shards.shard import Shard

# How often a worker that waits looks whether the trainer is still there. Its end of the pipe tells
# at once, unless a process that the trainer forked has inherited it.
_LOOK_S = 1.0


class _TrainerGoneError(Exception):
    """The trainer has ended, however."""


def main(spec_fd: int, answers_fd: int, trainer_pid: int) -> None:
    """Answer requests until there is no one to answer to."""
    give_back_memory()
    # Parallelism is across workers.
    pa.set_cpu_count(1)
    pa.set_io_thread_count(1)
    pipes = _Pipes(answers_fd, trainer_pid)
    with open(spec_fd, "rb", buffering=0, closefd=False) as file:
        # The workers share one offset of this file: `pread` leaves it where it is.
        spec = os.pread(file.fileno(), os.fstat(spec_fd).st_size, 0)
    encoder = make_encoder(msgspec.json.decode(spec, type=FeatureSpec))
    try:
        pipes.send([pack(Hello())])
        for shard in unpack_shards(pipes.requests):
            if shard is None:
                pipes.wait_for_request()
            else:
                pipes.send(_answer(shard, encoder))
    except _TrainerGoneError:
        return


def _answer(shard: Shard, encoder: Encoder) -> list[Piece]:
    try:
        return pack_batch(read_shard(shard, encoder))
    except ShardfitError as error:
        kind = type(error).__name__
        where = printable(str(error.where))
        return [pack(Failed(kind, where, error.expected, error.found, error.hint))]
    except Exception:
        return [pack(Failed("", traceback.format_exc()))]


class _Pipes:
    """Both pipes, and the watch over who is at their other end."""

    def __init__(self, answers_fd: int, trainer_pid: int) -> None:
        self._trainer_pid = trainer_pid
        self.requests = io.FileIO(0)
        self._answers = answers_fd
        os.set_blocking(0, False)
        os.set_blocking(self._answers, False)

    def wait_for_request(self) -> None:
        while not select.select([0], [], [], _LOOK_S)[0]:
            self._look()

    def send(self, pieces: list[Piece]) -> None:
        views = [memoryview(piece) for piece in pieces]
        while views:
            try:
                sent = os.writev(self._answers, views)
            except BlockingIOError:
                if not select.select([], [self._answers], [], _LOOK_S)[1]:
                    self._look()
                continue
            except BrokenPipeError:
                raise _TrainerGoneError from None
            while views and sent >= len(views[0]):
                sent -= len(views.pop(0))
            if sent:
                views[0] = views[0][sent:]

    def _look(self) -> None:
        if os.getppid() != self._trainer_pid:
            raise _TrainerGoneError
