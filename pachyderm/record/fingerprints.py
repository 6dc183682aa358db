"""Fingerprints: a digest of everything that shapes an output commit.

It exists so that equal work is done once (equal fingerprint, equal output), and a person sees which part differed.
"""

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
    """The parts of a fingerprint.

    Attributes:
        parts: name -> text, e.g. ``stage``, ``code``, ``parameters``, ``versions.pillow``, ``inputs.training``.
    """

    parts: Mapping[str, str]

    @property
    def value(self) -> str:
        """SHA-256 of the parts, as hex."""
        return digest(self.parts)

    def differs_from(self, other: Mapping[str, str]) -> tuple[str, ...]:
        """Names of the parts that differ from another fingerprint's, in order."""
        return tuple(name for name in sorted({*self.parts, *other}) if self.parts.get(name) != other.get(name))


def digest(value: object) -> str:
    """SHA-256 of a value's canonical JSON, as hex."""
    return hashlib.sha256(json.dumps(value, sort_keys=True, separators=(",", ":")).encode()).hexdigest()


def listing_digest(listing: Listing) -> str:
    """SHA-256 over paths and hashes in byte order, as hex; dates, sizes and commits do not count."""
    whole = hashlib.sha256()
    for path in sorted(listing, key=str.encode):
        whole.update(f"{path}\0{listing[path].hash}\n".encode())
    return whole.hexdigest()
