"""Progress of a run on stderr: a bar in a terminal, a plain line every few seconds elsewhere."""

from __future__ import annotations

import time
from typing import Any, Self

from dask.callbacks import Callback
from rich.console import Console
from rich.progress import (
    BarColumn,
    DownloadColumn,
    Progress,
    TextColumn,
    TimeRemainingColumn,
    TransferSpeedColumn,
)

from sharder.graph import READ, Key

_LINE_EVERY_S = 5.0


class ProgressCallback(Callback):  # type: ignore[misc]
    """Counts the bytes of the blocks as Dask has read them: the others are just behind."""

    def __init__(self, total_bytes: int, console: Console) -> None:
        """Begin with nothing done; `console` is where to show it."""
        super().__init__()
        self._console = console
        self._total = total_bytes
        self._done = 0
        self._started = self._last_line = time.monotonic()
        self._bar: Progress | None = None
        if console.is_terminal:
            self._bar = Progress(
                TextColumn("splitting"),
                BarColumn(),
                DownloadColumn(),
                TransferSpeedColumn(),
                TimeRemainingColumn(elapsed_when_finished=True),
                console=console,
                transient=True,
            )
            self._task = self._bar.add_task("splitting", total=self._total)

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
        if step != READ:
            return
        size = len(result.data)
        self._done += size
        if self._bar:
            self._bar.advance(self._task, size)
        elif time.monotonic() - self._last_line >= _LINE_EVERY_S:
            self._last_line = time.monotonic()
            self._console.print(self._line(), highlight=False, soft_wrap=True)

    def _line(self) -> str:
        seconds = time.monotonic() - self._started
        left = seconds * (self._total - self._done) / max(self._done, 1)
        done, total = self._done / 1e9, self._total / 1e9
        return (
            f"{done / total:4.0%}  {done:,.2f} of {total:,.2f} GB  "
            f"{done * 1e3 / seconds:,.0f} MB/s  {left:,.0f} s left"
        )
