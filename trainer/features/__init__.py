"""From the fields of a record to numbers: what is computed, with NumPy and Arrow alone."""
