"""The records of a CSV: its characters, its dialect, and where a record ends, as `csv` has it."""
