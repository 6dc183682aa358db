"""Picture files: decode, validate, convert and encode."""
