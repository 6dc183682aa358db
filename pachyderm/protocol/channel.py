"""gRPC channels to a Pachyderm server: message sizes, keepalive, retries and time limits of reads.

The SDK's own channel waits forever if a cluster falls silent, fails a read at the first broken connection, and raises
errors of a different type there.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import grpc

from pachyderm.protocol.conflicts import ConflictRetries
from pachyderm.protocol.listing_channel import ListingChannel
from pachyderm.protocol.read_retries import ReadRetries
from pachyderm.protocol.read_timeout import ReadTimeout

MAX_MESSAGE_BYTES = 20 << 20
"""Longest message in either direction: pachd's own limit, and pachd does send messages of that size."""

KEEPALIVE_INTERVAL, KEEPALIVE_TIMEOUT = 30.0, 20.0
"""Seconds between keepalive pings while a request is active (pachd allows one in 5 s), and until a ping must be
acknowledged. A cluster that disappears without closing its connections is noticed within their sum."""

MAX_RECONNECT_BACKOFF = 10.0
"""Longest pause between two attempts to connect, seconds."""

READ_TIMEOUT = 300.0
"""Seconds that a read waits for the next message. pachd may compute for minutes before it sends the first entry of a
listing or a diff of a large commit."""

READS = (
    "auth_v2.API/WhoAmI",
    "pfs_v2.API/DiffFile",
    "pfs_v2.API/GetFile",
    "pfs_v2.API/GetFileTAR",
    "pfs_v2.API/GlobFile",
    "pfs_v2.API/InspectBranch",
    "pfs_v2.API/InspectCommit",
    "pfs_v2.API/InspectCommitSet",
    "pfs_v2.API/InspectFile",
    "pfs_v2.API/InspectProject",
    "pfs_v2.API/InspectRepo",
    "pfs_v2.API/ListBranch",
    "pfs_v2.API/ListCommit",
    "pfs_v2.API/ListFile",
    "pfs_v2.API/ListProject",
    "pfs_v2.API/ListRepo",
    "pfs_v2.API/WalkFile",
    "versionpb_v2.API/GetVersion",
)
"""RPCs that change nothing. Only these are retried, and only before the first message of the response: after a broken
connection nobody knows whether any other request was carried out. What the server's database rolled back is repeated by
`pachyderm.protocol.conflicts`, writes included."""

READ_PAUSES = (0.5, 1.5, 4.5, 10.0)
"""Seconds before each repetition of a read that fails because the server is away."""

Metadata = Sequence[tuple[str, str]]


def open_channel(
    address: str,
    tls: bool,
    root_certs: bytes | None,
    read_timeout: float = READ_TIMEOUT,
    read_pauses: Sequence[float] = READ_PAUSES,
) -> grpc.Channel:
    """Open a channel; nothing is sent yet.

    Args:
        address: ``host:port`` or ``unix:/path``.
        tls: whether the server uses TLS.
        root_certs: certificate authorities in PEM form; None for those that ship with gRPC.
        read_timeout: seconds that a read waits for the next message of the server.
        read_pauses: seconds before each repetition of a read.
    """
    # gRPC shares a connection between channels with the same credentials object only.
    credentials = grpc.ssl_channel_credentials(root_certs) if tls else None

    def dial(further: list[tuple[str, Any]]) -> grpc.Channel:
        options = [*channel_options(), *further]
        if credentials is not None:
            return grpc.secure_channel(address, credentials, options=options)
        return grpc.insecure_channel(address, options=options)

    reads = [f"/{method}" for method in READS]
    retries, timeout = ReadRetries(reads, read_pauses), ReadTimeout(reads, read_timeout)
    return grpc.intercept_channel(ListingChannel(dial), ConflictRetries(), retries, timeout)


def with_metadata(channel: grpc.Channel, metadata: Metadata) -> grpc.Channel:
    """Return a view of a channel that sends metadata (the token, the transaction) with every request."""
    return grpc.intercept_channel(channel, _MetadataInterceptor(metadata))


def channel_options() -> list[tuple[str, str | int]]:
    """Return the channel's options, by gRPC's names."""
    return [
        ("grpc.max_receive_message_length", MAX_MESSAGE_BYTES),
        ("grpc.max_send_message_length", MAX_MESSAGE_BYTES),
        ("grpc.keepalive_time_ms", int(1000 * KEEPALIVE_INTERVAL)),
        ("grpc.keepalive_timeout_ms", int(1000 * KEEPALIVE_TIMEOUT)),
        # While a bandwidth-estimation ping is outstanding no keepalive ping is sent, and its default timeout is 60 s.
        ("grpc.http2.ping_timeout_ms", int(1000 * KEEPALIVE_TIMEOUT)),
        # A request that waits for a commit transfers no data for hours.
        ("grpc.http2.max_pings_without_data", 0),
        ("grpc.max_reconnect_backoff_ms", int(1000 * MAX_RECONNECT_BACKOFF)),
        ("grpc.primary_user_agent", "pix2pix"),
    ]


class _MetadataInterceptor(
    grpc.UnaryUnaryClientInterceptor,
    grpc.UnaryStreamClientInterceptor,
    grpc.StreamUnaryClientInterceptor,
    grpc.StreamStreamClientInterceptor,
):
    """Adds metadata to each request and passes errors on unchanged."""

    def __init__(self, metadata: Metadata) -> None:
        self._metadata = tuple(metadata)

    def _extended(self, details: Any) -> Any:
        return details._replace(metadata=(*(details.metadata or ()), *self._metadata))

    def intercept_unary_unary(self, continuation: Any, client_call_details: Any, request: Any) -> Any:
        return continuation(self._extended(client_call_details), request)

    def intercept_unary_stream(self, continuation: Any, client_call_details: Any, request: Any) -> Any:
        return continuation(self._extended(client_call_details), request)

    def intercept_stream_unary(self, continuation: Any, client_call_details: Any, request_iterator: Any) -> Any:
        return continuation(self._extended(client_call_details), request_iterator)

    def intercept_stream_stream(self, continuation: Any, client_call_details: Any, request_iterator: Any) -> Any:
        return continuation(self._extended(client_call_details), request_iterator)
