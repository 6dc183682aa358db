"""Subcommands for models and history: models, promote, rollback, review, revert, lineage, fsck."""
