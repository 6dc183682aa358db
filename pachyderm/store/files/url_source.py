"""The content of a URL, for clients that put a file from one."""

from __future__ import annotations

import http.client
import urllib.error
import urllib.request
from collections.abc import Iterator
from urllib.parse import urlsplit

from pachyderm.store.objects.blocks import BLOCK
from pachyderm.store.refusals import Refusal, invalid, unserved

PATIENCE = 60.0
"""Seconds without a byte after which a server is given up."""


def read(url: str, recursive: bool) -> Iterator[bytes]:
    """The bytes behind an http or https URL; redirects are followed, to these two schemes alone.

    Raises:
        Refusal: another scheme; an error of the other server; it cannot be reached or breaks off.
    """
    parts = urlsplit(url)
    if parts.scheme not in ("http", "https"):
        raise unserved(f"putting a file from a URL of the scheme {parts.scheme[:20]!r}")
    if recursive:
        raise unserved("putting files from a URL recursively")
    if not parts.hostname:
        raise invalid(f"the URL {url[:200]} names no host")
    try:
        with _opener().open(url, timeout=PATIENCE) as answer:
            length = answer.headers.get("Content-Length")
            size = 0
            while data := answer.read(BLOCK):
                size += len(data)
                yield data
        if length is not None and length.isdecimal() and size < int(length):
            raise Refusal(f"error retrieving content from {url!r}: {size} of {length} bytes came")
    except urllib.error.HTTPError as error:
        error.close()
        raise Refusal(f"error retrieving content from {url!r}: {error.code} {error.reason}") from error
    except (OSError, http.client.HTTPException, ValueError) as error:
        reason = getattr(error, "reason", error)
        raise Refusal(f"cannot read {url!r}: {reason}") from error


def _opener() -> urllib.request.OpenerDirector:
    """Opens http and https, and no file, ftp or data URL that a redirect may lead to."""
    opener = urllib.request.OpenerDirector()
    for handler in (
        urllib.request.ProxyHandler(),
        urllib.request.HTTPHandler(),
        urllib.request.HTTPSHandler(),
        urllib.request.HTTPRedirectHandler(),
        urllib.request.HTTPDefaultErrorHandler(),
        urllib.request.HTTPErrorProcessor(),
        urllib.request.UnknownHandler(),
    ):
        opener.add_handler(handler)
    return opener
