"""A run: Keras, driven epoch by epoch, with its place kept."""
