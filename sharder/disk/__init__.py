"""The place of a dataset on disk: hidden until it is whole, and room for it."""
