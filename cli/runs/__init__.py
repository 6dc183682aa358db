"""Subcommands for runs: trigger, run, why, retry."""
