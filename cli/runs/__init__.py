"""Subcommands for runs: trigger, run, status, why, retry."""
