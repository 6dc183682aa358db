"""Subcommands for models and history: models, promote, rollback, revert, lineage, fsck."""
