"""Encodes local file names that Pachyderm refuses, and decodes them.

It exists because pachd takes printable ASCII without ``* ? [ ] { } ! ( ) @ + ^`` alone (`paths.go`), and people's
pictures are called ``photo (1).jpg``. Percent-encoding is used, so ``%`` itself is encoded too and decoding is exact.
"""

from __future__ import annotations

import os
from urllib.parse import unquote_to_bytes

_REFUSED = frozenset(b"*?[]{}!()@+^%\\")


def encode(path: str) -> str:
    """Encode a relative local path, byte by byte where Pachyderm would refuse it."""
    return "".join(
        chr(byte) if 0x20 <= byte <= 0x7E and byte not in _REFUSED else f"%{byte:02X}" for byte in os.fsencode(path)
    )


def decode(path: str) -> str:
    """Decode what `encode` made; any other name is returned as it is."""
    plain = os.fsdecode(unquote_to_bytes(path))
    return plain if encode(plain) == path else path
