"""The fixture of the tests of the stages' protocol."""

from stage_harness import house

__all__ = ["house"]
