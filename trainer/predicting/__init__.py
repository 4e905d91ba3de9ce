"""A long table in, a long table out, in memory that does not grow."""
