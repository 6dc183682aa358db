"""Decides which pairs a training holds out: a function of the file's content and the share alone."""

from __future__ import annotations

import hashlib


def is_held_out(digest: str, share: float) -> bool:
    """Whether training measures on a pair instead of learning from it.

    Args:
        digest: SHA-256 of the file, hex.
        share: of the pairs to hold out, 0 to 1.
    """
    # Hashed once more: `pix2pix split` uses the content's hash, and a part that it made would lie all on one side.
    number = int.from_bytes(hashlib.sha256(f"held out {digest}".encode()).digest()[:8], "big")
    return number < share * 2**64
