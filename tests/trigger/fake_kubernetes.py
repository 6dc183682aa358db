"""The Lease API of a Kubernetes API server over HTTP; it enforces resourceVersion as a real one does."""

from __future__ import annotations

import json
import re
import threading
from collections.abc import Callable
from http.server import BaseHTTPRequestHandler
from typing import Any

from fake_api import FakeApi, answer, body_of, hang

_MICRO_TIME = re.compile(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{6}(Z|[+-]\d\d:\d\d)")


class FakeKubernetes(FakeApi):
    """The server.

    Attributes:
        faults: gives a status to answer instead, or ``after`` (do it and break the connection), or ``hang`` (never
            answer), or None.
    """

    def __init__(self) -> None:
        self.leases: dict[str, dict[str, Any]] = {}
        self.faults: Callable[[str], str | None] = lambda method: None
        self.writes = 0
        self._version = 0
        self._lock = threading.Lock()
        super().__init__()

    def __enter__(self) -> FakeKubernetes:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def _serve(self, handler: BaseHTTPRequestHandler, method: str) -> None:
        body = body_of(handler)
        fault = self.faults(method)
        if fault == "hang":
            hang(handler)
            return
        if fault is not None and fault.isdigit():
            status, document = int(fault), {"kind": "Status", "message": f"injected {fault}"}
        else:
            with self._lock:
                status, document = self._do(method, handler.path, json.loads(body) if body else {})
        if fault == "after":
            handler.close_connection = True
            return
        answer(handler, status, document)

    def _do(self, method: str, path: str, body: dict[str, Any]) -> tuple[int, dict[str, Any]]:
        match = re.fullmatch(r"/apis/coordination\.k8s\.io/v1/namespaces/([a-z-]+)/leases(?:/([a-z0-9-]+))?", path)
        if match is None:
            return 404, {"kind": "Status", "message": "no such path"}
        name = f"{match[1]}/{match[2] or body['metadata']['name']}"
        before = self.leases.get(name)
        if method == "GET":
            return (200, before) if before else (404, {"kind": "Status", "message": "not found"})
        for field in ("acquireTime", "renewTime"):
            if not _MICRO_TIME.fullmatch(body["spec"][field]):
                return 400, {"kind": "Status", "message": f"{field} is not a MicroTime"}
        if method == "POST" and before:
            return 409, {"kind": "Status", "message": "already exists"}
        if method == "PUT":
            if before is None:
                return 404, {"kind": "Status", "message": "not found"}
            if body["metadata"].get("resourceVersion") != before["metadata"]["resourceVersion"]:
                return 409, {"kind": "Status", "message": "the object has been modified"}
        self._version += 1
        self.writes += 1
        body["metadata"]["resourceVersion"] = str(self._version)
        self.leases[name] = body
        return (201 if method == "POST" else 200), body
