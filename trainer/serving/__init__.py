"""Models that take raw columns, and the proof that they agree with training."""
