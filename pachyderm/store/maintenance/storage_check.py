"""CheckStorage: counts objects and, if requested, verifies them."""

from __future__ import annotations

from typing import Any

from pachyderm.store.objects.engine import Engine


def check(engine: Engine, request: Any) -> int:
    """Return the number of objects, each verified against its hash if the request asks for it.

    Args:
        engine: the store.
        request: a `CheckStorageRequest`; its bounds are ids of objects, an empty one means unbounded.

    Raises:
        StatusError: DATA_LOSS if an object is missing or damaged.
    """
    with engine.database.reading() as connection:
        found = connection.execute(
            "SELECT id FROM (SELECT id FROM blocks UNION SELECT id FROM inlined) "
            "WHERE id>=?1 AND (?2=x'' OR id<=?2) ORDER BY id",
            (request.chunk_begin, request.chunk_end),
        ).fetchall()
        if request.read_chunk_data:
            for (block,) in found:
                engine.blocks.read(block)
    return len(found)
