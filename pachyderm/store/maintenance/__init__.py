"""Garbage collection, consistency checks and scheduled triggers of a store."""
