"""A channel whose listings are received and parsed in the thread that reads them.

gRPC's Python receives the messages of a stream in a thread of the channel and hands each to the reader. Both threads
wait for the interpreter's lock at every message, which costs as much processor time as the rest of a listing. gRPC has
an option without that thread, but keeps 20 KB of every stream that is not read to its end. So it serves only requests
whose streams are always read to their end.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import grpc
from grpc.experimental import ChannelOptions

from pachyderm.protocol.forwarding_channel import ForwardingChannel

LISTINGS = frozenset(f"/pfs_v2.API/{name}" for name in ("DiffFile", "GlobFile", "WalkFile"))
"""The requests that list files by the thousand."""


class ListingChannel(ForwardingChannel):
    """Two channels to one address, which share a connection: one for listings, one for all other requests.

    Args:
        dial: opens a channel, with further options.
    """

    def __init__(self, dial: Callable[[list[tuple[str, Any]]], grpc.Channel]) -> None:
        super().__init__(dial([]))
        self._listings = dial([(ChannelOptions.SingleThreadedUnaryStream, 1)])

    def unary_stream(self, method: str, *args: Any, **kwargs: Any) -> Any:
        """As in `grpc.Channel`."""
        if method in LISTINGS:
            return self._listings.unary_stream(method, *args, **kwargs)
        return super().unary_stream(method, *args, **kwargs)

    def close(self) -> None:
        """Close both channels."""
        self._listings.close()
        super().close()
