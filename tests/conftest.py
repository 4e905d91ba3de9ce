"""What all tests share."""

from __future__ import annotations

import signal

from hypothesis import HealthCheck, settings

# Machines are noisy, and an example may start processes: no deadline for one, nor for its making.
patient = settings(deadline=None, suppress_health_check=[HealthCheck.too_slow])
settings.register_profile("test", patient, max_examples=100)
settings.register_profile("soak", patient, max_examples=5000)
settings.load_profile("test")

# What a shell starts in the background ignores SIGINT, and so would the programs under test.
signal.signal(signal.SIGINT, signal.default_int_handler)
