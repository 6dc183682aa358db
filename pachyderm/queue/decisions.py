"""Keeps what was decided about a commit set with its output commits, as metadata.

``add_key`` succeeds for one caller alone, so a decision to start is a fence as well: of two triggers, one starts an
attempt.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from datetime import UTC, datetime
from typing import Annotated

import msgspec

from pachyderm.client.commits import Commit
from pachyderm.client.connection import Connection
from pachyderm.queue.claims import added

_PREFIX = "decision."

ANNOUNCED = "start"
"""An attempt is about to be started."""

CONFIRMED = "started"
"""The run of an announced attempt exists."""


@dataclass(frozen=True)
class Decision:
    """One decision about a commit set.

    Attributes:
        time: ISO 8601, UTC.
        decision: one word: ``start``, ``started``, ``failed``, ``interrupted``, ``superseded``, ``retry``, ...
        reason: why, for a person.
        run: the run that it is about, or empty.
        attempt: the attempt that it is about; 0 where it is about none.
        by: who decided, ``host:process`` of a trigger or a person's command.
        where: with ``start``: the place of the run (see `workflows.runners.runner.Runner.place`).
        progress: with the end of an attempt: how far the commit set had come.
    """

    time: str
    decision: str
    reason: str
    run: str = ""
    attempt: Annotated[int, msgspec.Meta(ge=0, le=2**63 - 1)] = 0
    by: str = ""
    where: str = ""
    progress: str = ""


_decode = msgspec.json.Decoder(Decision).decode


def stamp(seconds: float) -> str:
    """Seconds since 1970 as ISO 8601, UTC, to the millisecond."""
    return datetime.fromtimestamp(seconds, UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")


def moment_of(decision: Decision) -> float:
    """When it was decided, seconds since 1970; 0 where its time is not one of `stamp`."""
    try:
        return datetime.fromisoformat(decision.time).timestamp()
    except (ValueError, OverflowError):
        return 0.0


def record(client: Connection, commit: Commit, slot: str, decision: Decision) -> bool:
    """Add a decision to a commit.

    Args:
        client: the connection.
        commit: an output commit, open or not.
        slot: ``<attempt>.<what>``; each slot of a commit is written once.
        decision: what was decided.

    Returns:
        False where that slot has been written, by whomever: then somebody else decided it.
    """
    return added(client, commit, {f"{_PREFIX}{slot}": json.dumps(asdict(decision))})


def decisions_of(metadata: Mapping[str, str]) -> tuple[Decision, ...]:
    """Read a commit's decisions, oldest first; what is not ours is left out."""
    found = []
    for key, value in metadata.items():
        if not key.startswith(_PREFIX):
            continue
        try:
            found.append(_decode(value))
        except (msgspec.MsgspecError, UnicodeEncodeError, RecursionError):
            continue
    return tuple(sorted(found, key=lambda one: (one.time, one.attempt)))
