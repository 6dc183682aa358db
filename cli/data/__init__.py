"""Subcommands for data: setup, put, get, ls, log, status, diff."""
