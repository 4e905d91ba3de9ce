"""The main program of a worker process: what must be so before anything else is imported.

`trainer.process` runs this file by its path. `python -m trainer.worker` would find the package only
from some directories; with the search path of the trainer a worker finds what the trainer found,
from a checkout, an installation, a notebook, `python -c`. The user's script is not imported again,
so it needs no `__main__` guard.

Arguments: those of `trainer.worker.main`, and the search path.
"""

import signal
import sys


class _NoPandas:
    """Keeps pandas out. Arrow imports it, where it can, to recognise its objects: 50 MB, 0.3 s."""

    @staticmethod
    def find_spec(name: str, *_: object) -> None:
        if name == "pandas":
            raise ModuleNotFoundError(name)


if __name__ == "__main__":
    # Whether Ctrl-C ends the run is for the trainer to decide.
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    sys.path[:] = sys.argv[3:]
    # An entry of None in `sys.modules` would do, but Arrow's compiled code takes it for pandas.
    sys.meta_path.insert(0, _NoPandas)

    from trainer.worker import main

    main(int(sys.argv[1]), int(sys.argv[2]))
