"""Garbage collection and consistency checks of a store's folder."""
