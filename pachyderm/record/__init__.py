"""Stage records, fingerprints, quarantine, lineage and diff."""
