"""Procedural facades: demo data."""
