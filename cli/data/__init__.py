"""Subcommands for data: setup, put, get, ls, log, diff."""
