"""Subcommands around the project: store, compile, doctor."""
