"""Repos, branches, commits and their provenance."""
