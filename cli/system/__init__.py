"""Subcommands for the installation: store, compile, doctor."""
