"""The public API: runs of the pipelines from scripts and notebooks."""
