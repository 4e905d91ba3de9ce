"""Batches read ahead, by worker processes that are watched."""
