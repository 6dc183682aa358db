"""The networks, their losses and the translation of a picture."""
