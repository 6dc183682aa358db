"""Fingerprints: digests of everything that determines the content of an output commit."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from dataclasses import dataclass

from pachyderm.client.files import Listing

FINGERPRINT = "fingerprint"
"""Metadata key of a good output commit."""


@dataclass(frozen=True)
class Fingerprint:
    """A fingerprint by its parts; equal fingerprints mean equal output.

    Attributes:
        parts: name -> text, e.g. ``stage``, ``code``, ``parameters``, ``versions.pillow``, ``inputs.training``.
    """

    parts: Mapping[str, str]

    @property
    def value(self) -> str:
        """SHA-256 of the parts, hex."""
        return digest(self.parts)

    def differs_from(self, other: Mapping[str, str]) -> tuple[str, ...]:
        """Return the names of the parts that differ from those of another fingerprint, sorted."""
        return tuple(name for name in sorted({*self.parts, *other}) if self.parts.get(name) != other.get(name))


def digest(value: object) -> str:
    """Return the SHA-256 of a value's canonical JSON (sorted keys, no spaces), hex."""
    return hashlib.sha256(json.dumps(value, sort_keys=True, separators=(",", ":")).encode()).hexdigest()


def listing_digest(listing: Listing) -> str:
    """Return the SHA-256 over paths and content hashes in byte order, hex; dates, sizes and commits are ignored."""
    hasher = hashlib.sha256()
    for path in sorted(listing, key=str.encode):
        hasher.update(f"{path}\0{listing[path].hash}\n".encode())
    return hasher.hexdigest()
