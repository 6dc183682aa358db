"""The fixture of the tests of the stages' protocol."""

from house import house

__all__ = ["house"]
