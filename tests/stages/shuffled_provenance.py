"""A connection whose server seems to list provenance in another order at every request."""

from __future__ import annotations

import random
from collections.abc import Callable
from typing import Any

from pachyderm.client.connection import Connection

FIELDS = ("direct_provenance", "direct_subvenance", "provenance", "subvenance")


def shuffled(client: Connection, seed: int) -> Connection:
    """Return another connection to the same server; the caller closes it."""
    order = random.Random(seed)

    def dial() -> Callable[[Any], Any]:
        with_metadata = client._dial()
        return lambda metadata: _ShufflingChannel(with_metadata(metadata), order)

    return Connection(dial, client.project, client.auth_token)


class _ShufflingChannel:
    def __init__(self, channel: Any, order: random.Random) -> None:
        self._channel = channel
        self._order = order

    def __getattr__(self, name: str) -> Any:
        return getattr(self._channel, name)

    def unary_unary(self, path: str, request_serializer: Any, response_deserializer: Any, **options: Any) -> Any:
        return self._channel.unary_unary(
            path,
            request_serializer=request_serializer,
            response_deserializer=self._reordered(response_deserializer),
            **options,
        )

    def unary_stream(self, path: str, request_serializer: Any, response_deserializer: Any, **options: Any) -> Any:
        return self._channel.unary_stream(
            path,
            request_serializer=request_serializer,
            response_deserializer=self._reordered(response_deserializer),
            **options,
        )

    def _reordered(self, deserialize: Callable[[bytes], Any]) -> Callable[[bytes], Any]:
        def read(content: bytes) -> Any:
            message = deserialize(content)
            for field in FIELDS:
                entries = getattr(message, field, None)
                if entries:
                    shuffled = list(entries)
                    self._order.shuffle(shuffled)
                    del entries[:]
                    entries.extend(shuffled)
            return message

        return read
