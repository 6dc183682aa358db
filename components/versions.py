"""Versions of the libraries that shape an output; an update of one changes the fingerprint."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from importlib.metadata import version

PICTURES = ("pillow", "pillow-heif", "numpy")
TENSORFLOW = ("tensorflow", "keras", "numpy")


def versions_of(*packages: str) -> Callable[[], Mapping[str, str]]:
    """Return a function that reads the installed versions of packages, without importing them."""
    return lambda: {name: version(name) for name in packages}
