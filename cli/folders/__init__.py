"""Subcommands for plain folders: pairs, split, resize, train, export, generate, evaluate."""
