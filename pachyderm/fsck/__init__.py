"""Consistency checks across repos, runs and stage records, and their repairs."""
