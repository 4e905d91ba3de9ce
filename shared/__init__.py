"""The contract of the two stages: names on disk, manifest, schema, profile, errors."""
