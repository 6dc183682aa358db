"""Folders of pictures and pairs: pair, split, resize."""
