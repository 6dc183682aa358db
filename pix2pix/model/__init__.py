"""Networks, losses, metrics and the translation of pictures."""
