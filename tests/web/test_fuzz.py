"""Hostile requests over a socket: none fails the server, leads out of the repos or is answered with live markup."""

from __future__ import annotations

import json
import random
import re
import socket
import sys
import urllib.error
import urllib.request
from collections.abc import Callable
from pathlib import Path
from urllib.parse import quote

import pytest
from web_site import HOSTILE, Site, listening, png

sys.path.append(str(Path(__file__).parent.parent / "images"))
from malformed_corpus import corpus

from pachyderm.fsck.check import fsck

SEGMENTS = (
    *("..", ".", "", "%2e%2e", "..%2f..%2fetc%2fpasswd", "%00", "a%00b", "%ff%fe", "%", "%zz", "\\", "C:%5cx"),
    *(quote(HOSTILE), "%0d%0aSet-Cookie:x=1", "a" * 3000, "%E2%80%AE", "%F0%9F%92%A9", "master", "master%5e", "*"),
)
PLACES = """
/ /models /models/compare?a={}&b={} /models/{} /pictures /pictures?q={}&page={} /draw /upload /pictures?commit={}
/pictures/{}/{} /commits/training/{} /commits/{}/{} /files/model/{}/{} /{}/{} /files/{}/{}/{} /fragments/overview
/fragments/pictures?page={}&commit={} /static/{} /static/{}/{} /api/translate /api/translate?size={} /api/promote
/api/rollback /api/retry /api/review /login /api/pictures /api/uploads /api/uploads/{}/files/{} /metrics
/api/uploads/{}/commit?repo={}&message={} /v1/models/pix2pix:predict /v1/models/{} /v2/models/pix2pix/infer
/v2/models/{}/infer
"""
METHODS = ("GET", "GET", "POST", "POST", "PUT", "HEAD", "OPTIONS", "DELETE", "PATCH", "TRACE", "BREW")
HEADERS = (
    *("Origin: null", "Origin: http://evil.example", "Host: evil.example", "Accept: text/html", "Accept: text/html"),
    *("Cookie: pix2pix_session=x.y", "Cookie: pix2pix_session=" + "z" * 5000, "Authorization: Bearer \xe9\xff"),
    *("Range: x", "Content-Type: multipart/form-data", "Content-Encoding: gzip", "X-Forwarded-Host: evil.example"),
    *("Accept-Language: " + "q" * 9000, "Expect: 100-continue", "If-None-Match: *", "X-CSRF-Token: \xff"),
    *("Upgrade: websocket", "Referer: javascript:0"),
)
BROKEN = ("Content-Length: -1", "Content-Length: 999999999", "Transfer-Encoding: chunked", "no colon", ": x", "\x00: x")
"""Headers after which a server may drop the connection."""


def value(draw: random.Random) -> object:
    """Return a value for JSON: nested, huge, of a wrong type."""
    leaves = [None, True, -1, 1e308, 10**30, "", HOSTILE, "master", "\ud800", "approve", [[[[300]]]], {"b64": "%"}]
    if draw.random() < 0.4:
        return draw.choice(leaves)
    names = (
        "instances",
        "inputs",
        "signature_name",
        "commit",
        "verdict",
        "by",
        "reason",
        "shape",
        "data",
        "name",
        "b64",
    )
    return {draw.choice(names): value(draw) if draw.random() < 0.3 else draw.choice(leaves) for _ in range(4)}


def body(draw: random.Random, pictures: list[bytes]) -> bytes:
    kind = draw.random()
    if kind < 0.4:
        return draw.choice(pictures)
    if kind < 0.7:
        return json.dumps(value(draw)).encode()
    return draw.choice((b"", b"master", b"[" * 50_000, draw.randbytes(200), HOSTILE.encode(), png()))


def fuzzed(draw: random.Random, pictures: list[bytes], session: list[str]) -> tuple[bytes, bool]:
    """Return a request, and whether a server may drop the connection instead of answering."""
    place = draw.choice(PLACES.split())
    while "{}" in place:
        place = place.replace("{}", draw.choice(SEGMENTS), 1)
    if draw.random() < 0.05:
        place = draw.choice(("//evil.example/", "http://evil.example/", "*", "/" + "a/" * 3000, place + "#" + place))
    content, broken = body(draw, pictures), draw.random() < 0.05
    lines = draw.sample(HEADERS, draw.randint(0, 3)) + (session if draw.random() < 0.6 else [])
    if not any(line.startswith("Host:") for line in lines):
        lines.append("Host: 127.0.0.1")
    lines += [draw.choice(BROKEN)] if broken else [f"Content-Length: {len(content)}"]
    first = f"{draw.choice(METHODS)} {place} HTTP/1.1"
    head = "".join(f"{line}\r\n" for line in [first, *lines, "Connection: close"])
    return head.encode("latin-1") + b"\r\n" + content, broken


def answer(port: int, request: bytes, ends: bool) -> bytes | None:
    """Send a request, and return what comes back until the server closes the connection; None if it was reset."""
    received = b""
    with socket.create_connection(("127.0.0.1", port), timeout=60) as connection:
        try:
            connection.sendall(request)
            if ends:
                connection.shutdown(socket.SHUT_WR)
            while part := connection.recv(65536):
                received += part
        except (BrokenPipeError, ConnectionResetError):
            # The server answered before it had read the whole body, and the kernel dropped the answer.
            return None
    return received


def translates(address: str) -> bool:
    request = urllib.request.Request(f"{address}/api/translate", png(), method="POST")
    try:
        with urllib.request.urlopen(request) as response:
            return response.status == 200
    except urllib.error.HTTPError as error:
        assert error.code == 503, error
        return False


def attack(site: Site, requests: int, seed: int) -> set[int]:
    """Send fuzzed requests, check every answer, and return the status codes."""
    draw, pictures = random.Random(seed), [entry.data for entry in corpus(1)]
    seen = set()
    with listening(site) as address:
        with urllib.request.urlopen(f"{address}/draw") as page:
            token = page.read().decode().partition('name="csrf-token" content="')[2].partition('"')[0]
            cookie = page.headers["set-cookie"].partition(";")[0]
        port = int(address.rpartition(":")[2])
        while not translates(address):
            pass  # no model is loaded yet; the first translation imports TensorFlow
        for number in range(requests):
            request, broken = fuzzed(draw, pictures, [f"Cookie: {cookie}", f"X-CSRF-Token: {token}"])
            received = answer(port, request, broken)
            if received is None:
                continue
            found = re.match(rb"HTTP/1\.1 (\d{3}) ", received)
            shown = f"request {number} of seed {seed}: {request[:300]!r}\n{received[:500]!r}"
            assert found is not None or broken, shown
            status = int(found[1]) if found else 0
            assert status < 500, shown
            assert b"root:" not in received and b"\r\nset-cookie: x=1" not in received.lower(), shown
            if b"text/html" in received.partition(b"\r\n\r\n")[0]:
                assert b"<img src=x" not in received and b"Traceback" not in received, shown
            seen.add(status)
        assert translates(address), "the server still works"
    problems = fsck(site.client, now=2e9, repair=False, contents=False).problems
    assert {problem.code for problem in problems} <= {"OPEN_LONG"}, problems
    return seen


def test_hostile_requests_are_answered_without_an_error_of_the_server(changing: Site) -> None:
    assert len(attack(changing, 40, seed=1)) >= 5, "many kinds of answers"


@pytest.mark.long
@pytest.mark.parametrize("seed", range(4))
def test_thousands_of_hostile_requests_are_answered_without_an_error_of_the_server(
    changing: Site, seed: int, volume: Callable[[int, int], int]
) -> None:
    attack(changing, volume(500, 20), seed + 100)
