"""Limits of requests."""

from __future__ import annotations

LONGEST_REQUEST = 1 << 20
"""Bytes in a request other than a piece of a file; the time to decode a hostile one grows with its square."""
