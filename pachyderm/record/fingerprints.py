"""Fingerprints: digests of everything that determines the content of an output commit."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import msgspec

from pachyderm.client.files import Listing

FINGERPRINT = "fingerprint"
"""Metadata key of a good output commit."""

RECIPE = "recipe"
"""Metadata key of a good output commit that began with an earlier one; equal to the fingerprint of any other."""

PARENT = "parent"
"""The part that names the content of the earlier output that the work began with."""

CHOSEN = "chosen."
"""Beginning of the metadata key of an output commit that holds what a time budget chose; the fingerprint of the request
follows: that of the parameters before the choice."""


_decode_choice = msgspec.json.Decoder(dict[str, str | int | float | bool]).decode


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

    @property
    def recipe(self) -> str:
        """SHA-256 of the parts without the parent, hex: going back finds the output whatever it began with."""
        return digest({name: text for name, text in self.parts.items() if name != PARENT})

    @property
    def keys(self) -> dict[str, str]:
        """Metadata of a commit with this fingerprint."""
        return {FINGERPRINT: self.value, **({RECIPE: self.recipe} if PARENT in self.parts else {})}

    def with_parent(self, content: str) -> Fingerprint:
        """Return the fingerprint of work that begins with an earlier output, given the digest of that; empty: none."""
        return Fingerprint({**self.parts, PARENT: content}) if content else self

    def differs_from(self, other: Mapping[str, str]) -> tuple[str, ...]:
        """Return the names of the parts that differ from those of another fingerprint, sorted."""
        return tuple(name for name in sorted({*self.parts, *other}) if self.parts.get(name) != other.get(name))


def choice_of(metadata: Mapping[str, str], request: str) -> dict[str, Any] | None:
    """Return what a time budget chose for a request: name -> value; None if nothing that can be read was chosen.

    Args:
        metadata: of an output commit; anybody may have written it.
        request: fingerprint of the request.
    """
    try:
        return _decode_choice(metadata.get(CHOSEN + request, ""))
    except (msgspec.MsgspecError, UnicodeEncodeError, RecursionError):
        return None


def digest(value: object) -> str:
    """Return the SHA-256 of a value's canonical JSON (sorted keys, no spaces), hex."""
    return hashlib.sha256(json.dumps(value, sort_keys=True, separators=(",", ":")).encode()).hexdigest()


def listing_digest(listing: Listing) -> str:
    """Return the SHA-256 over paths and content hashes in byte order, hex; dates, sizes and commits are ignored."""
    hasher = hashlib.sha256()
    for path in sorted(listing, key=str.encode):
        hasher.update(f"{path}\0{listing[path].hash}\n".encode())
    return hasher.hexdigest()
