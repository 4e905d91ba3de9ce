"""Stage 2: trains a Keras model on the shards of a dataset."""
