"""A dataset as the trainer takes it: its shards, and which records make up which batch."""
