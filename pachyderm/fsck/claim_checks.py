"""Whether the claims on output commits are claims of runs that live, and in order.

It exists because a claim of a dead run keeps a commit waiting until somebody notices.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator

from pachyderm.client.commits import Commit
from pachyderm.client.connection import Connection
from pachyderm.dag.promotion import PROMOTED, ROLLED_BACK
from pachyderm.fsck.evidence import INPUT_REPOS, Evidence
from pachyderm.fsck.problem import Mend, Problem
from pachyderm.queue.claims import claims_of, give_back, live_claim
from pachyderm.queue.commit_sets import own_parameters_key
from pachyderm.queue.decisions import decisions_of

Over = Callable[[str], str | None]
"""A run's id -> how it ended, or None where it lives or is not known."""

_MOVE = {PROMOTED: {"time"}, ROLLED_BACK: {"time", "to"}}

ENDED = frozenset({"failed", "interrupted", "cancelled", "vanished"})
"""Decisions about a run that say it is over."""


def check_claims(evidence: Evidence, over: Over | None) -> Iterator[Problem]:
    """Claims on open commits are alive, and each claim but the last has ended."""
    for commit in evidence.outputs:
        claims = claims_of(commit.metadata)
        for claim in claims[:-1]:
            if claim.over is None:
                what = f"its claim {claim.number} by run {claim.holder} holds beside the later {claims[-1].number}"
                mend = _give_back(commit, claim.number, "ended by fsck: a later claim was taken")
                yield Problem("CLAIM_DOUBLE", str(commit), what, f"ends claim {claim.number}", mend)
        numbers = [claim.number for claim in claims]
        if numbers != list(range(1, len(numbers) + 1)):
            what = f"its claims are numbered {', '.join(map(str, numbers))}: somebody took one away"
            yield Problem("CLAIM_GAP", str(commit), what, "nothing is lost; the next claim takes the next number")
        live = live_claim(commit.metadata)
        if commit.state == "open" and live is not None:
            ended = _ended(commit, live.holder, over)
            if ended:
                mend = _give_back(commit, live.number, f"ended by fsck: run {live.holder} is over: {ended}")
                what = f"run {live.holder} claims it, and that run is over: {ended}"
                yield Problem("CLAIM_DEAD", str(commit), what, f"gives claim {live.number} back", mend)


def _ended(commit: Commit, run: str, over: Over | None) -> str | None:
    told = over(run) if over is not None else None
    if told:
        return told
    about = [one for one in decisions_of(commit.metadata) if one.run == run]
    return f"{about[-1].decision}: {about[-1].reason}" if about and about[-1].decision in ENDED else None


def _give_back(commit: Commit, number: int, why: str) -> Mend:
    def mend(client: Connection) -> str:
        done = give_back(client, commit, number, why)
        return f"claim {number} on {commit} " + ("is over now" if done else "had ended by itself")

    return mend


def check_metadata(evidence: Evidence) -> Iterator[Problem]:
    """What is kept as metadata can be read: promotions and roll-backs, and a set's own hyperparameters."""
    for commit in evidence.commits["model"]:
        for key, value in commit.metadata.items():
            word = key.partition(".")[0]
            if word in (PROMOTED, ROLLED_BACK) and not _reads(value, _MOVE[word]):
                what = f"its metadata {key} cannot be read: {value[:80]!r}"
                advice = f"delete the key: pachctl edit metadata commit {commit} delete '{key}'"
                yield Problem("PROMOTION_UNREADABLE", str(commit), what, advice)
    for repo in INPUT_REPOS:
        for commit in evidence.commits[repo]:
            for key, value in commit.metadata.items():
                if key.startswith(own_parameters_key("")) and not _reads(value, set()):
                    what = f"its metadata {key} is no JSON object: {value[:80]!r}; the set cannot be filled"
                    advice = f"delete the key: pachctl edit metadata commit {commit} delete '{key}'"
                    yield Problem("HYPERPARAMETERS_UNREADABLE", str(commit), what, advice)


def _reads(text: str, keys: set[str]) -> bool:
    try:
        told = json.loads(text)
    except ValueError:
        return False
    return isinstance(told, dict) and keys <= told.keys()
