"""Browser sessions: a cookie that proves knowledge of the token, and the CSRF token that belongs to it."""

from __future__ import annotations

import hashlib
import hmac
import secrets
from dataclasses import dataclass, field

COOKIE = "pix2pix_session"
CSRF_HEADER = "x-csrf-token"


@dataclass(frozen=True)
class Sessions:
    """Issues and checks session cookies; nothing is stored on the server.

    A cookie is ``NONCE.MAC``, the MAC of the nonce under a key that is derived from the token and a secret of this
    process, so that a restart or another token ends every session.

    Attributes:
        token: the token that clients must know; None if none is required.
        secret: random bytes of this process.
    """

    token: str | None = field(repr=False)
    secret: bytes = field(default_factory=lambda: secrets.token_bytes(32), repr=False)

    def issue(self) -> str:
        """Return a new cookie."""
        nonce = secrets.token_urlsafe(18)
        return f"{nonce}.{self._mac('session', nonce)}"

    def valid(self, cookie: str) -> bool:
        """Return whether a cookie was issued here."""
        nonce, _, mac = cookie.partition(".")
        return _same(mac, self._mac("session", nonce))

    def csrf_token(self, cookie: str) -> str:
        """Return the CSRF token of a session."""
        return self._mac("csrf", cookie)

    def knows_token(self, given: str) -> bool:
        """Return whether a client's token is right, in time that does not depend on where they differ."""
        return self.token is not None and _same(given, self.token)

    def _mac(self, purpose: str, text: str) -> str:
        key = hashlib.sha256(self.secret + (self.token or "").encode()).digest()
        return hmac.new(key, f"{purpose}:{text}".encode("utf-8", "surrogatepass"), hashlib.sha256).hexdigest()


def _same(left: str, right: str) -> bool:
    return hmac.compare_digest(left.encode("utf-8", "surrogatepass"), right.encode("utf-8", "surrogatepass"))
