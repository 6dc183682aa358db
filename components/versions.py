"""Versions of the libraries that shape an output.

It exists so that an update of a library shows in the fingerprint, without importing the library.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from importlib.metadata import version

PICTURES = ("pillow", "pillow-heif", "numpy")
TENSORFLOW = ("tensorflow", "keras", "numpy")


def versions_of(*packages: str) -> Callable[[], Mapping[str, str]]:
    """How a stage tells the versions of its libraries."""
    return lambda: {name: version(name) for name in packages}
