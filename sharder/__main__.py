"""Where `sharder` starts."""

from __future__ import annotations

import os

from shared.start import start


def main() -> None:
    """Run the command line."""
    # NumPy's linear algebra, which nothing here uses, would start threads that spin for a while.
    os.environ.setdefault("OPENBLAS_NUM_THREADS", "1")
    start("sharder")


if __name__ == "__main__":
    main()
