"""Download of a URL's content, for clients that put a file from a URL."""

from __future__ import annotations

import http.client
import urllib.error
import urllib.request
from collections.abc import Iterator
from urllib.parse import urlsplit

from pachyderm.store.objects.blocks import BLOCK
from pachyderm.store.status_errors import StatusError, invalid_argument, unimplemented

TIMEOUT = 60.0
"""Seconds without a byte after which the download fails."""


def read(url: str, recursive: bool) -> Iterator[bytes]:
    """Yield the content of an http or https URL; redirects are followed to these two schemes only.

    Raises:
        StatusError: another scheme; an error from the server; it cannot be reached or breaks off.
    """
    parts = urlsplit(url)
    if parts.scheme not in ("http", "https"):
        raise unimplemented(f"putting a file from a URL of the scheme {parts.scheme[:20]!r}")
    if recursive:
        raise unimplemented("putting files from a URL recursively")
    if not parts.hostname:
        raise invalid_argument(f"the URL {url[:200]} names no host")
    try:
        with _opener().open(url, timeout=TIMEOUT) as response:
            length = response.headers.get("Content-Length")
            size = 0
            while data := response.read(BLOCK):
                size += len(data)
                yield data
        if length is not None and length.isdecimal() and size < int(length):
            raise StatusError(f"error retrieving content from {url!r}: {size} of {length} bytes came")
    except urllib.error.HTTPError as error:
        error.close()
        raise StatusError(f"error retrieving content from {url!r}: {error.code} {error.reason}") from error
    except (OSError, http.client.HTTPException, ValueError) as error:
        reason = getattr(error, "reason", error)
        raise StatusError(f"cannot read {url!r}: {reason}") from error


def _opener() -> urllib.request.OpenerDirector:
    """Return an opener for http and https only, since a redirect may lead to a file, ftp or data URL."""
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
