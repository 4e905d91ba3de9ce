"""Where the program starts: Ctrl-C is answered while its modules are still being imported, too."""

from __future__ import annotations

import os
import sys


def main() -> None:
    """Run the command line."""
    # NumPy's linear algebra, which nothing here uses, would start threads that spin for a while.
    os.environ.setdefault("OPENBLAS_NUM_THREADS", "1")
    try:
        from sharder.cli import main as run
    except KeyboardInterrupt:
        sys.stderr.write("sharder: interrupted; nothing is left behind\n")
        sys.stderr.flush()
        os._exit(130)  # at once: who is impatient may press it again
    run()


if __name__ == "__main__":
    main()
