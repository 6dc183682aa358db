"""The settings of the web application."""

from __future__ import annotations

import ipaddress
from dataclasses import dataclass
from pathlib import Path

from pachyderm.client.connection import Target
from web.errors import StartError

LOOPBACK_NAMES = frozenset({"localhost", "127.0.0.1", "::1"})
SHORTEST_TOKEN = 16
"""Characters of a token at least."""


@dataclass(frozen=True)
class WebConfiguration:
    """Where the data is, where to listen, and who may do what.

    Attributes:
        target: the Pachyderm.
        host: address to listen on.
        port: TCP port; 0 lets the system choose one.
        token: required of every client; None on a loopback address alone.
        read_only: whether requests that change anything are refused.
        allowed_hosts: names that may stand in a request's Host header, in lower case; a name that a browser resolves to
            this address on behalf of another site (DNS rebinding) is not among them.
        poll_interval: seconds between two looks at the branch heads while a page is open or a model is loaded.
    """

    target: Target
    host: str = "127.0.0.1"
    port: int = 8642
    token: str | None = None
    read_only: bool = False
    allowed_hosts: frozenset[str] = LOOPBACK_NAMES
    poll_interval: float = 2.0


def parse_listen(listen: str) -> tuple[str, int]:
    """Split ``HOST:PORT`` or ``[IPV6]:PORT``.

    Raises:
        StartError: no port, or one outside 0 to 65535.
    """
    host, separator, port = listen.rpartition(":")
    if not separator or not host or not port.isdecimal() or int(port) > 65535:
        raise StartError(f"--listen {listen}: write HOST:PORT, for example 127.0.0.1:8642")
    return host.removeprefix("[").removesuffix("]"), int(port)


def read_token(file: Path) -> str:
    """Read a token from the first line of a file.

    Raises:
        StartError: the file cannot be read, or the token is too short.
    """
    try:
        token = file.read_text(encoding="utf-8").partition("\n")[0].strip()
    except (OSError, UnicodeDecodeError) as error:
        raise StartError(f"--token-file {file} cannot be read: {error}") from error
    if len(token) < SHORTEST_TOKEN:
        raise StartError(f"--token-file {file}: the token has {len(token)} characters; use at least {SHORTEST_TOKEN}")
    return token


def is_loopback(host: str) -> bool:
    """Return whether an address is reachable from this machine alone."""
    if host == "localhost":
        return True
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return False


def check_exposure(host: str, token: str | None) -> None:
    """Refuse an address that other machines can reach, unless a token protects it.

    Raises:
        StartError: not a loopback address, and no token.
    """
    if token is None and not is_loopback(host):
        raise StartError(
            f"--listen {host}: other machines can reach this address, so a token is required; pass --token-file FILE"
        )
