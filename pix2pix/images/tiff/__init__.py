"""TIFF files, decoded by their header's tags."""
