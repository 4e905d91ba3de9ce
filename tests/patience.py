"""How long the tests wait for a program that they have started."""

from __future__ import annotations

# Many times what any of them takes, on a machine that has much else to do: what takes longer hangs,
# and fails its test instead of the suite.
PATIENCE_S = 600.0
