"""The rules that put each record on its side: by number, group, class or time."""
