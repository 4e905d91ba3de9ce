"""A dataset that is there: proven, read, and what is kept of it for the next drop."""
