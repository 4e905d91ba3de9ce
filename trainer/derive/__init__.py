"""Which columns become features, and how: by the profile, by a person, by a function."""
