"""A channel that forwards every request to another one; its subclasses change some of them."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Self

import grpc


class ForwardingChannel(grpc.Channel):
    """Forwards to a channel, and closes it.

    Args:
        channel: carries the requests.
    """

    def __init__(self, channel: grpc.Channel) -> None:
        self._channel = channel

    def unary_unary(self, method: str, *args: Any, **kwargs: Any) -> Any:
        """As in `grpc.Channel`."""
        return self._channel.unary_unary(method, *args, **kwargs)

    def unary_stream(self, method: str, *args: Any, **kwargs: Any) -> Any:
        """As in `grpc.Channel`."""
        return self._channel.unary_stream(method, *args, **kwargs)

    def stream_unary(self, method: str, *args: Any, **kwargs: Any) -> Any:
        """As in `grpc.Channel`."""
        return self._channel.stream_unary(method, *args, **kwargs)

    def stream_stream(self, method: str, *args: Any, **kwargs: Any) -> Any:
        """As in `grpc.Channel`."""
        return self._channel.stream_stream(method, *args, **kwargs)

    def subscribe(
        self, callback: Callable[[grpc.ChannelConnectivity], None], try_to_connect: bool | None = False
    ) -> None:
        """As in `grpc.Channel`."""
        self._channel.subscribe(callback, bool(try_to_connect))

    def unsubscribe(self, callback: Callable[[grpc.ChannelConnectivity], None]) -> None:
        """As in `grpc.Channel`."""
        self._channel.unsubscribe(callback)

    def close(self) -> None:
        """Close the channel that carries the requests."""
        self._channel.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()
