"""HTML pages of the model layer."""
