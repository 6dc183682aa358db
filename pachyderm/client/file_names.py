"""Reversible encoding of local file names as names that Pachyderm accepts.

pachd accepts only printable ASCII without ``* ? [ ] { } ! ( ) @ + ^`` (`paths.go` of Pachyderm 2.12), and pictures are
commonly named ``photo (1).jpg``. Names are percent-encoded; ``%`` is encoded too, so decoding is exact.
"""

from __future__ import annotations

import os
from urllib.parse import unquote_to_bytes

_ENCODED = frozenset(b"*?[]{}!()@+^%\\")


def encode(path: str) -> str:
    """Percent-encode the bytes of a relative local path that Pachyderm refuses."""
    return "".join(
        chr(byte) if 0x20 <= byte <= 0x7E and byte not in _ENCODED else f"%{byte:02X}" for byte in os.fsencode(path)
    )


def decode(path: str) -> str:
    """Return the local path that `encode` turned into `path`; any other name is returned unchanged."""
    plain = os.fsdecode(unquote_to_bytes(path))
    return plain if encode(plain) == path else path
