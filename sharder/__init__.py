"""Stage 1: one pass over a CSV of any size, into shards of 1000 records."""
