"""Limits on the size of requests."""

from __future__ import annotations

LONGEST_REQUEST = 1 << 20
"""Maximum number of bytes in a request without file content; decoding a hostile one takes quadratic time."""
