"""`sharder plan`: what would happen, told from a few megabytes."""
