"""The logs of a run, `history.csv` and `tensorboard/`: the history, once more, for people.

Both are written anew from the history when a run goes on, so that each epoch is in them once.
"""

from __future__ import annotations

import contextlib
import csv
import io
import os
import shutil
import time
from collections.abc import Iterator, Sequence
from pathlib import Path

from tensorboard.compat.proto.event_pb2 import Event
from tensorboard.compat.proto.summary_pb2 import Summary
from tensorboard.summary.writer.record_writer import RecordWriter

from shared.durable import create
from shared.errors import TargetError
from trainer.rundir import HISTORY_NAME, TENSORBOARD_NAME
from trainer.training.progress import Row

_VALIDATION = "val_"


class Journal:
    """Writes the logs, an epoch at a time."""

    def __init__(self, out: Path, rows: Sequence[Row]) -> None:
        """Begin with the epochs that are complete; `out` is the directory of the run.

        Raises:
            TargetError: they cannot be written.
        """
        self._out = out
        self._rows: list[Row] = []
        # Keras's callback names its directories and scalars so, too.
        tensorboard = out / TENSORBOARD_NAME
        with self._errors_named():
            if tensorboard.exists():
                shutil.rmtree(tensorboard)
            self._train = _Events(tensorboard / "train")
            self._validation = _Events(tensorboard / "validation")
        for row in rows:
            self.add(row)

    def add(self, row: Row) -> None:
        """Log an epoch.

        Raises:
            TargetError: it cannot be written.
        """
        train = {"learning_rate": row.learning_rate}
        validation = {}
        for name, value in row.metrics.items():
            if name.startswith(_VALIDATION):
                validation[name.removeprefix(_VALIDATION)] = value
            else:
                train[name] = value
        epoch = len(self._rows)
        self._rows.append(row)
        with self._errors_named():
            self._train.add(epoch, train, row.ended_s)
            self._validation.add(epoch, validation, row.ended_s)
            self._write_history()

    def close(self) -> None:
        """Close the files."""
        self._train.close()
        self._validation.close()

    def _write_history(self) -> None:
        temporary = self._out / f".{HISTORY_NAME}.tmp"
        with io.TextIOWrapper(create(temporary), encoding="utf-8", newline="") as file:
            writer = csv.writer(file, lineterminator="\n")
            for epoch, row in enumerate(self._rows):
                metrics = dict(sorted(row.metrics.items()))
                values = {"epoch": epoch, **metrics, "learning_rate": row.learning_rate}
                if epoch == 0:
                    writer.writerow(values)
                writer.writerow(values.values())
        temporary.replace(self._out / HISTORY_NAME)

    @contextlib.contextmanager
    def _errors_named(self) -> Iterator[None]:
        try:
            yield
        except OSError as error:
            raise TargetError(
                error.filename or self._out,
                expected="to write the logs",
                found=error.strerror or str(error),
                hint="see to it, then run the same command again: it goes on",
            ) from None


class _Events:
    """A file of scalars for TensorBoard, written without TensorFlow."""

    def __init__(self, directory: Path) -> None:
        directory.mkdir(parents=True)
        # TensorBoard looks for this name, and reads files in its order.
        path = directory / f"events.out.tfevents.{time.time():.0f}.{os.uname().nodename}"
        self._writer = RecordWriter(path.open("wb"))
        self._write(Event(wall_time=time.time(), file_version="brain.Event:2"))

    def add(self, step: int, values: dict[str, float], wall_time: float) -> None:
        scalars = [Summary.Value(tag=f"epoch_{n}", simple_value=v) for n, v in values.items()]
        self._write(Event(wall_time=wall_time, step=step, summary=Summary(value=scalars)))

    def close(self) -> None:
        self._writer.close()

    def _write(self, event: Event) -> None:
        self._writer.write(event.SerializeToString())
        self._writer.flush()
