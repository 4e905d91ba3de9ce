"""Where a program starts: Ctrl-C is answered while its modules are still being imported, too."""

from __future__ import annotations

import importlib
import os
import sys


def start(program: str) -> None:
    """Run the command line of a stage, the `main` of its module `cli`.

    Args:
        program: name of the stage's package, and of its program.
    """
    try:
        run = importlib.import_module(f"{program}.cli").main
    except KeyboardInterrupt:
        sys.stderr.write(f"{program}: interrupted; nothing is left behind\n")
        sys.stderr.flush()
        os._exit(130)  # at once: who is impatient may press it again
    run()
