"""The logs of a run, `history.csv` and `tensorboard/`: the history, once more, for people.

Both are written anew from the history when a run goes on, so that each epoch is in them once.
"""

from __future__ import annotations

import csv
import shutil
from collections.abc import Sequence
from pathlib import Path

from tensorboard.compat.proto.event_pb2 import Event
from tensorboard.compat.proto.summary_pb2 import Summary
from tensorboard.summary.writer.event_file_writer import EventFileWriter

from trainer.progress import Row
from trainer.rundir import HISTORY_NAME, TENSORBOARD_NAME

_VALIDATION = "val_"


class Journal:
    """Writes the logs, an epoch at a time."""

    def __init__(self, out: Path, rows: Sequence[Row]) -> None:
        """Begin with the epochs that are complete; `out` is the directory of the run."""
        self._history = out / HISTORY_NAME
        self._rows = list(rows)
        tensorboard = out / TENSORBOARD_NAME
        shutil.rmtree(tensorboard, ignore_errors=True)
        # Named as Keras names them.
        self._train = EventFileWriter(str(tensorboard / "train"))
        self._validation = EventFileWriter(str(tensorboard / "validation"))
        for epoch, row in enumerate(rows):
            self._add_events(epoch, row)
        self._write()

    def add(self, row: Row) -> None:
        """Log an epoch."""
        self._add_events(len(self._rows), row)
        self._rows.append(row)
        self._write()

    def close(self) -> None:
        """Close the files."""
        self._train.close()
        self._validation.close()

    def _add_events(self, epoch: int, row: Row) -> None:
        train: dict[str, float] = {"learning_rate": row.learning_rate}
        validation: dict[str, float] = {}
        for name, value in row.metrics.items():
            side = validation if name.startswith(_VALIDATION) else train
            side[name.removeprefix(_VALIDATION)] = value
        for writer, values in ((self._train, train), (self._validation, validation)):
            scalars = [
                Summary.Value(tag=f"epoch_{name}", simple_value=value)
                for name, value in values.items()
            ]
            event = Event(wall_time=row.ended_s, step=epoch, summary=Summary(value=scalars))
            writer.add_event(event)

    def _write(self) -> None:
        if not self._rows:
            return
        self._train.flush()
        self._validation.flush()
        temporary = self._history.with_name(f".{HISTORY_NAME}.tmp")
        with temporary.open("w", newline="") as file:
            writer = csv.writer(file, lineterminator="\n")
            for epoch, row in enumerate(self._rows):
                values = {"epoch": epoch, **dict(sorted(row.metrics.items()))}
                values["learning_rate"] = row.learning_rate
                if not epoch:
                    writer.writerow(values)
                writer.writerow(values.values())
        temporary.replace(self._history)
