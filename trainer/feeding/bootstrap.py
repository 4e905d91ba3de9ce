"""The main program of a worker process: what must be so before anything else is imported.

`trainer.feeding.process` runs this file by its path. `python -m trainer.feeding.worker` would find
the package only from some directories; with the search path of the trainer a worker finds what the
trainer found, from a checkout, an installation, a notebook, `python -c`. The user's script is not
imported again, so it needs no `__main__` guard.

Arguments: those of `trainer.feeding.worker.main`, and the search path.
"""

import signal
import sys

if __name__ == "__main__":
    # Whether Ctrl-C ends the run is for the trainer to decide.
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    sys.path[:] = sys.argv[4:]
    from shared.nopandas import keep_pandas_out

    keep_pandas_out()
    from trainer.feeding.worker import main

    main(*map(int, sys.argv[1:4]))
