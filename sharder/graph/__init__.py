"""One pass as a Dask graph: its steps, its chains, and what runs it."""
