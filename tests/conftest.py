"""What all tests share."""

from __future__ import annotations

import signal

from hypothesis import settings

# Machines are noisy, and an example may start processes: no deadline for one.
settings.register_profile("test", deadline=None, max_examples=100)
settings.register_profile("soak", deadline=None, max_examples=5000)
settings.load_profile("test")

# What a shell starts in the background ignores SIGINT, and so would the programs under test.
signal.signal(signal.SIGINT, signal.default_int_handler)
