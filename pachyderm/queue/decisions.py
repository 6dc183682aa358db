"""Decisions about commit sets, kept as metadata of their output commits.

``add_key`` succeeds for exactly one caller, so a decision to start is a fence as well: of two triggers, one starts an
attempt.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
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
        reason: why, for people.
        run: id of the run that it is about, or empty.
        attempt: number of the attempt that it is about; 0 for none.
        by: who decided: ``host:process`` of a trigger, or a person's command.
        where: with ``start``: the place of the run (see `workflows.runners.runner.Runner.place`).
        progress: with the end of an attempt: how far the commit set had come.
        kept: with the end of an attempt: repo -> datums whose results its shards had kept by then.
    """

    time: str
    decision: str
    reason: str
    run: str = ""
    attempt: Annotated[int, msgspec.Meta(ge=0, le=2**63 - 1)] = 0
    by: str = ""
    where: str = ""
    progress: str = ""
    kept: Mapping[str, int] = field(default_factory=dict)


_decode = msgspec.json.Decoder(Decision).decode


def stamp(seconds: float) -> str:
    """Format seconds since 1970 as ISO 8601, UTC, to the millisecond."""
    return datetime.fromtimestamp(seconds, UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")


def moment_of(decision: Decision) -> float:
    """Return the time of a decision in seconds since 1970; 0 if it is not in the format of `stamp`."""
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
        False if the slot had already been written: somebody else decided.
    """
    return added(client, commit, {f"{_PREFIX}{slot}": json.dumps(asdict(decision))})


def decisions_of(metadata: Mapping[str, str]) -> tuple[Decision, ...]:
    """Read the decisions from a commit's metadata, oldest first; values of another format are ignored."""
    found = []
    for key, value in metadata.items():
        if not key.startswith(_PREFIX):
            continue
        try:
            found.append(_decode(value))
        except (msgspec.MsgspecError, UnicodeEncodeError, RecursionError):
            continue
    return tuple(sorted(found, key=lambda decision: (decision.time, decision.attempt)))
