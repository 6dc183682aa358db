"""Opens the gRPC channel to a Pachyderm: message sizes, signs of life, reconnecting, questions that are asked again.

It exists because the SDK's own channel waits for ever where a cluster falls silent, gives up a question at the first
broken connection, and raises another kind of error there than anywhere else.
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from typing import Any

import grpc

MESSAGE = 20 << 20
"""Bytes in the longest message, either way; pachd's own limit, up to which its answers go."""

ALIVE_EVERY, ALIVE_WITHIN = 30.0, 20.0
"""Seconds between two signs of life of a connection with a request on it (pachd allows one in 5 s), and until one must
be answered: a cluster that falls silent without a word is noticed within their sum."""

RECONNECT_WITHIN = 10.0
"""Longest pause between two tries to connect, seconds."""

QUESTIONS = (
    "DiffFile",
    "GetFile",
    "GetFileTAR",
    "GlobFile",
    "InspectBranch",
    "InspectCommit",
    "InspectCommitSet",
    "InspectFile",
    "InspectProject",
    "InspectRepo",
    "ListBranch",
    "ListCommit",
    "ListFile",
    "ListProject",
    "ListRepo",
    "WalkFile",
)
"""Requests that change nothing. Only they are sent again, and only while nothing of the answer has come: of anything
else nobody knows whether it was done."""

TRIES = {"maxAttempts": 5, "initialBackoff": "0.5s", "backoffMultiplier": 3, "maxBackoff": "10s"}
"""Five is gRPC's limit; with these pauses a question outlasts an absence of about 15 s."""

Metadata = Sequence[tuple[str, str]]


def opened(address: str, tls: bool, root_certs: bytes | None) -> grpc.Channel:
    """Open a channel; nothing is sent yet.

    Args:
        address: ``host:port`` or ``unix:/path``.
        tls: whether the server speaks TLS.
        root_certs: certificate authorities in PEM form; None for those that come with gRPC.
    """
    if not tls:
        return grpc.insecure_channel(address, options=options())
    return grpc.secure_channel(address, grpc.ssl_channel_credentials(root_certs), options=options())


def with_metadata(channel: grpc.Channel, metadata: Metadata) -> grpc.Channel:
    """The same channel, which sends metadata with every request: the token, the transaction."""
    return grpc.intercept_channel(channel, _WithMetadata(metadata))


def options() -> list[tuple[str, str | int]]:
    """The channel's settings, by gRPC's names."""
    again = {
        "name": [{"service": "pfs_v2.API", "method": name} for name in QUESTIONS],
        # A server answers CANCELLED to what reaches it while it shuts down; who cancels here is not asked again.
        "retryPolicy": {**TRIES, "retryableStatusCodes": ["UNAVAILABLE", "CANCELLED"]},
    }
    return [
        ("grpc.max_receive_message_length", MESSAGE),
        ("grpc.max_send_message_length", MESSAGE),
        ("grpc.keepalive_time_ms", int(1000 * ALIVE_EVERY)),
        ("grpc.keepalive_timeout_ms", int(1000 * ALIVE_WITHIN)),
        # Of pings that measure the connection; while one is out, no sign of life is sent, and 60 s would count.
        ("grpc.http2.ping_timeout_ms", int(1000 * ALIVE_WITHIN)),
        # A request that waits for a commit has no data for hours.
        ("grpc.http2.max_pings_without_data", 0),
        ("grpc.max_reconnect_backoff_ms", int(1000 * RECONNECT_WITHIN)),
        ("grpc.service_config", json.dumps({"methodConfig": [again]})),
        ("grpc.primary_user_agent", "pix2pix"),
    ]


class _WithMetadata(
    grpc.UnaryUnaryClientInterceptor,
    grpc.UnaryStreamClientInterceptor,
    grpc.StreamUnaryClientInterceptor,
    grpc.StreamStreamClientInterceptor,
):
    """Adds metadata to each request, and leaves its errors as they are."""

    def __init__(self, metadata: Metadata) -> None:
        self._metadata = tuple(metadata)

    def _more(self, details: Any) -> Any:
        return details._replace(metadata=(*(details.metadata or ()), *self._metadata))

    def intercept_unary_unary(self, continuation: Any, client_call_details: Any, request: Any) -> Any:
        return continuation(self._more(client_call_details), request)

    def intercept_unary_stream(self, continuation: Any, client_call_details: Any, request: Any) -> Any:
        return continuation(self._more(client_call_details), request)

    def intercept_stream_unary(self, continuation: Any, client_call_details: Any, request_iterator: Any) -> Any:
        return continuation(self._more(client_call_details), request_iterator)

    def intercept_stream_stream(self, continuation: Any, client_call_details: Any, request_iterator: Any) -> Any:
        return continuation(self._more(client_call_details), request_iterator)
