"""Shortens commit ids in text for people."""

from __future__ import annotations

import re

SHORT_ID = 12
"""Digits of a commit id shown to people; every command accepts a unique prefix."""

# Not a file name such as /0123...cdef.png, nor part of a longer digest.
_ID = re.compile(r"(?<![\w./])[0-9a-f]{32}(?![\w./])")


def short_ids(text: str) -> str:
    """Shorten the commit ids in a text to `SHORT_ID` digits, also within the names of runs.

    A text that quotes a ``pachctl`` command is returned unchanged: pachd does not accept prefixes.
    """
    return text if "pachctl" in text else _ID.sub(lambda match: match[0][:SHORT_ID], text)
