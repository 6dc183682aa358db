"""BMP files: headers, and run-length encoding."""
