"""Where `trainer` starts."""

from __future__ import annotations

from shared.start import start


def main() -> None:
    """Run the command line."""
    start("trainer")


if __name__ == "__main__":
    main()
