"""Base of the fake API servers: HTTP on 127.0.0.1, served from a thread by one function."""

from __future__ import annotations

import contextlib
import json
import threading
from abc import ABC, abstractmethod
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any


class FakeApi(ABC):
    """A server; a subclass answers in `_serve`, and calls this `__init__` when it is ready to.

    Attributes:
        url: where it listens.
    """

    def __init__(self) -> None:
        fake = self

        class Handler(BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"

            def log_message(self, *args: object) -> None:
                pass

            def do_GET(self) -> None:
                fake._serve(self, "GET")

            def do_POST(self) -> None:
                fake._serve(self, "POST")

            def do_PUT(self) -> None:
                fake._serve(self, "PUT")

            def do_DELETE(self) -> None:
                fake._serve(self, "DELETE")

        self._server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self._server.daemon_threads = True
        self.url = f"http://127.0.0.1:{self._server.server_address[1]}"
        self._thread = threading.Thread(target=self._server.serve_forever, args=(0.02,), daemon=True)
        self._thread.start()

    def close(self) -> None:
        self._server.shutdown()
        self._server.server_close()
        self._thread.join()

    @abstractmethod
    def _serve(self, handler: BaseHTTPRequestHandler, method: str) -> None:
        """Answer one request."""


def body_of(handler: BaseHTTPRequestHandler) -> bytes:
    return handler.rfile.read(int(handler.headers.get("Content-Length") or 0))


def answer(
    handler: BaseHTTPRequestHandler,
    status: int,
    document: Any,
    headers: dict[str, str] | None = None,
    cut: bool = False,
) -> None:
    """Send a document; with `cut`, send only half of it and close the connection."""
    content = json.dumps(document).encode()
    handler.send_response(status)
    for name, value in {"Content-Type": "application/json", **(headers or {})}.items():
        handler.send_header(name, value)
    handler.send_header("Content-Length", str(len(content)))
    handler.end_headers()
    handler.wfile.write(content[: len(content) // 2] if cut else content)
    if cut:
        handler.close_connection = True


def hang(handler: BaseHTTPRequestHandler) -> None:
    """Do not answer until the client gives up."""
    with contextlib.suppress(ConnectionError):
        handler.connection.recv(1)
    handler.close_connection = True
