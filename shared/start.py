"""Where a program starts, and where one that was cut off ends."""

from __future__ import annotations

import contextlib
import importlib
import os
import signal
import sys
import threading
from collections.abc import Callable
from typing import NoReturn

# By then a finaliser is over.
_MOMENT_S = 0.05


def start(program: str) -> None:
    """Run the command line of a stage, the `main` of its module `cli`.

    Ctrl-C is answered while its modules are still being imported, too, and in a finaliser.

    Args:
        program: name of the stage's package, and of its program.
    """
    hook = sys.unraisablehook
    sys.unraisablehook = lambda found: _raise_again(found, hook)
    try:
        run = importlib.import_module(f"{program}.cli").main
    except KeyboardInterrupt:
        # At once: who is impatient may press it again.
        end(f"{program}: interrupted; nothing is left behind", 130)
    run()


def _raise_again(
    found: sys.UnraisableHookArgs, hook: Callable[[sys.UnraisableHookArgs], object]
) -> None:
    """Send Ctrl-C again that came in a finaliser, where Python can only print it."""
    if not isinstance(found.exc_value, KeyboardInterrupt):
        hook(found)
        return
    in_a_moment(os.kill, os.getpid(), signal.SIGINT)


def in_a_moment(do: Callable[..., object], *arguments: object) -> None:
    """Do something in another thread, once a finaliser that runs now is over."""
    waiting = threading.Timer(_MOMENT_S, do, arguments)
    waiting.daemon = True
    waiting.start()


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
