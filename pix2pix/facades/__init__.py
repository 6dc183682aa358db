"""Procedural facades, the demo's training data."""
