"""The record of what made what: stage records, fingerprints, lineage, diff."""
