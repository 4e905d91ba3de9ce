"""Progress of a run on stderr: a bar in a terminal, a plain line every few seconds elsewhere."""

from __future__ import annotations

import time
from collections.abc import Callable
from operator import attrgetter
from typing import Any, Self

from dask.callbacks import Callback
from rich.console import Console
from rich.filesize import decimal
from rich.progress import (
    BarColumn,
    DownloadColumn,
    Progress,
    TextColumn,
    TimeRemainingColumn,
    TransferSpeedColumn,
)

from sharder.graph.reading import READ, Key
from shared.printable import printable

_LINE_EVERY_S = 5.0


def say(console: Console, text: str, style: str = "") -> None:
    """Print a line as it is: a path may look like markup, and is not to be wrapped."""
    text = printable(text)
    console.print(text, style=style, highlight=False, markup=False, emoji=False, soft_wrap=True)


class ProgressCallback(Callback):  # type: ignore[misc]
    """Counts the bytes of the blocks as Dask has read them: the others are just behind."""

    def __init__(
        self,
        total_bytes: int | None,
        done_bytes: int,
        console: Console,
        *,
        task: str = "splitting",
        step: str = READ,
        measure: Callable[[Any], int] = attrgetter("n_read"),
    ) -> None:
        """Begin.

        Args:
            total_bytes: size of the sources as they are packed; None if it is not known.
            done_bytes: what earlier runs have read of it.
            console: where to show it.
            task: what is done with them.
            step: whose results are counted.
            measure: returns the number of bytes of one.
        """
        super().__init__()
        self._console = console
        self._name, self._step, self._measure = task, step, measure
        self._total = total_bytes
        self.done_bytes = self._begun_at = done_bytes
        self._started = self._last_line = time.monotonic()
        self._bar: Progress | None = None
        if console.is_terminal:
            self._bar = Progress(
                TextColumn(task),
                BarColumn(),
                DownloadColumn(),
                TransferSpeedColumn(),
                *([] if total_bytes is None else [TimeRemainingColumn(elapsed_when_finished=True)]),
                console=console,
                transient=True,
            )
            self._task = self._bar.add_task(task, total=self._total, completed=done_bytes)

    def __enter__(self) -> Self:
        if self._bar:
            self._bar.start()
        super().__enter__()
        return self

    def __exit__(self, *error: object) -> None:
        super().__exit__(*error)
        if self._bar:
            self._bar.stop()

    def _posttask(self, key: Key, result: Any, *_: Any) -> None:
        step, _index = key
        if step != self._step:
            return
        self.advance(self._measure(result))

    def advance(self, size: int) -> None:
        """Note that so many bytes more were read."""
        self.done_bytes += size
        if self._bar:
            self._bar.advance(self._task, size)
        elif time.monotonic() - self._last_line >= _LINE_EVERY_S:
            self._last_line = time.monotonic()
            say(self._console, f"{self._name}: {self._line()}")

    def _line(self) -> str:
        seconds = time.monotonic() - self._started
        read = self.done_bytes - self._begun_at
        done, speed = decimal(self.done_bytes), f"{decimal(int(read / seconds))}/s"
        if self._total is None:
            return f"{done}  {speed}"
        share = self.done_bytes / max(self._total, 1)
        left = seconds * (self._total - self.done_bytes) / max(read, 1)
        return f"{share:4.0%}  {done} of {decimal(self._total)}  {speed}  {left:,.0f} s left"
