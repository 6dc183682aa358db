"""The HTML pages of the model layer."""
