"""TIFF files: directories, sample layouts and decoding."""
