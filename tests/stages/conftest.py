"""The fixture of the tests of the stages' protocol."""

from stage_harness import harness

__all__ = ["harness"]
