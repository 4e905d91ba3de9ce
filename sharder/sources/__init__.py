"""Where the bytes come from, in which packing, and what they are written in."""
