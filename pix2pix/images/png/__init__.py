"""PNG files: structure, text and transparency."""
