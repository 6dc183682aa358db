"""Checks of metadata: claims on output commits, promotions, and hyperparameters of a run."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

import msgspec

from pachyderm.client.commits import Commit
from pachyderm.client.connection import Connection
from pachyderm.dag.promotion import PROMOTED, ROLLED_BACK
from pachyderm.fsck.evidence import INPUT_REPOS, Evidence
from pachyderm.fsck.problem import Problem, Repair
from pachyderm.queue.claims import claims_of, give_back, live_claim
from pachyderm.queue.commit_sets import own_parameters_key
from pachyderm.queue.decisions import decisions_of

RunEnd = Callable[[str], str | None]
"""Run id -> how the run ended; None if it is running or unknown."""

_FIELDS = {PROMOTED: {"time"}, ROLLED_BACK: {"time", "to"}}
"""Fields that the value of a metadata key must have."""

RUN_OVER = frozenset({"failed", "interrupted", "cancelled", "vanished"})
"""Decisions after which a run is over."""

_decode_object = msgspec.json.Decoder(dict[str, Any]).decode


def check_claims(evidence: Evidence, run_end: RunEnd | None) -> Iterator[Problem]:
    """Check that claims on open commits belong to live runs, and that every claim but the last has ended."""
    for commit in evidence.outputs:
        claims = claims_of(commit.metadata)
        for claim in claims[:-1]:
            if claim.over is None:
                what = f"its claim {claim.number} by run {claim.holder} is live beside the later {claims[-1].number}"
                repair = _give_back(commit, claim.number, "ended by fsck: a later claim was taken")
                yield Problem("CLAIM_DOUBLE", str(commit), what, f"ends claim {claim.number}", repair)
        numbers = [claim.number for claim in claims]
        if numbers != list(range(1, len(numbers) + 1)):
            what = f"its claims are numbered {', '.join(map(str, numbers))}: one was deleted"
            yield Problem("CLAIM_GAP", str(commit), what, "nothing is lost; the next claim takes the next number")
        live = live_claim(commit.metadata)
        if commit.state == "open" and live is not None:
            end = _end_of(commit, live.holder, run_end)
            if end:
                repair = _give_back(commit, live.number, f"ended by fsck: run {live.holder} is over: {end}")
                what = f"run {live.holder} claims it, and that run is over: {end}"
                yield Problem("CLAIM_DEAD", str(commit), what, f"gives claim {live.number} back", repair)


def _end_of(commit: Commit, run: str, run_end: RunEnd | None) -> str | None:
    """Return how a run ended, from the runner or from the last decision about it."""
    end = run_end(run) if run_end is not None else None
    if end:
        return end
    decisions = [decision for decision in decisions_of(commit.metadata) if decision.run == run]
    if not decisions or decisions[-1].decision not in RUN_OVER:
        return None
    return f"{decisions[-1].decision}: {decisions[-1].reason}"


def _give_back(commit: Commit, number: int, reason: str) -> Repair:
    def repair(client: Connection) -> str:
        ended = give_back(client, commit, number, reason)
        return f"claim {number} on {commit} " + ("was given back" if ended else "had ended already")

    return repair


def check_metadata(evidence: Evidence) -> Iterator[Problem]:
    """Check that promotions, roll-backs and the hyperparameters of a run can be parsed."""
    for commit in evidence.commits["model"]:
        for key, value in commit.metadata.items():
            kind = key.partition(".")[0]
            if kind in _FIELDS and not _is_object(value, _FIELDS[kind]):
                what = f"its metadata {key} cannot be parsed: {value[:80]!r}"
                yield Problem("PROMOTION_UNREADABLE", str(commit), what, delete_key(commit, key))
    for repo in INPUT_REPOS:
        for commit in evidence.commits[repo]:
            for key, value in commit.metadata.items():
                if key.startswith(own_parameters_key("")) and not _is_object(value, set()):
                    what = f"its metadata {key} is not a JSON object: {value[:80]!r}; the commit set cannot be filled"
                    yield Problem("HYPERPARAMETERS_UNREADABLE", str(commit), what, delete_key(commit, key))


def delete_key(commit: Commit, key: str) -> str:
    """Return the advice to delete a metadata key of a commit."""
    return f"delete the key: pachctl edit metadata commit {commit} delete '{key}'"


def _is_object(text: str, fields: set[str]) -> bool:
    """Return whether a text is a JSON object with at least these fields."""
    try:
        return fields <= _decode_object(text).keys()
    except (msgspec.MsgspecError, UnicodeEncodeError, RecursionError):
        return False
