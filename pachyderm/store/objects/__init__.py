"""Immutable content-addressed objects: blocks, contents, and the directories of commits."""
