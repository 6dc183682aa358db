"""The public API: versioned data in scripts and notebooks."""
