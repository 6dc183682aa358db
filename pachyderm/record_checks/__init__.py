"""What the design promises about the record, one room a promise; `pachyderm.fsck` asks them all."""
