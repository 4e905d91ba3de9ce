"""A run from its beginning to its end: its passes, its place, its memory."""
