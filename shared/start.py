"""Where a program starts, and where one that was cut off ends."""

from __future__ import annotations

import contextlib
import importlib
import os
import sys
from typing import NoReturn


def start(program: str) -> None:
    """Run the command line of a stage, the `main` of its module `cli`.

    Ctrl-C is answered while its modules are still being imported, too.

    Args:
        program: name of the stage's package, and of its program.
    """
    try:
        run = importlib.import_module(f"{program}.cli").main
    except KeyboardInterrupt:
        # At once: who is impatient may press it again.
        end(f"{program}: interrupted; nothing is left behind", 130)
    run()


def end(message: str, status: int) -> NoReturn:
    """End a program that was cut off.

    Not with sys.exit: TensorFlow's threads may be within a step, Arrow's read ahead in a source,
    and a client of Dask's waits for a minute to be closed by its finaliser. While the interpreter
    is taken down the first two crash now and then. All of ours is closed.

    Args:
        message: for stderr.
        status: exit status.
    """
    # Who read them may have gone, or the disk behind them be full.
    with contextlib.suppress(OSError):
        sys.stderr.write(f"{message}\n")
    for stream in (sys.stdout, sys.stderr):
        with contextlib.suppress(OSError):
            stream.flush()
    os._exit(status)
