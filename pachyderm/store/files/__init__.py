"""Files of commits and file sets: write, read, list, match and compare."""
