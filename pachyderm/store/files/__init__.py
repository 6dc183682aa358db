"""Files of commits and file sets: read, write, list, match, compare."""
