"""Subcommands for plain folders: pairs, resize, split, train, evaluate, export, generate."""
