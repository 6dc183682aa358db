"""Finds events in the newest output commits; what was dealt with is not read again."""

from __future__ import annotations

import json
from collections.abc import Callable, Collection, Iterator, Sequence

from pachyderm.client.commits import Commit, CommitId, all_commits, inspect
from pachyderm.client.connection import Connection
from pachyderm.dag.gate_decision import gate_decision_of
from pachyderm.dag.promotion import PROMOTED, ROLLED_BACK
from pachyderm.dag.repos import GENERATE_IMAGES, MODEL, PROVENANCE
from pachyderm.dag.review import waits
from workflows.notifications import event
from workflows.notifications.event import Event

NEWS_FOR = 86_400.0
"""Seconds after the end of a commit in which its events are news: nobody is notified of older history."""

OUTPUTS = tuple(dict.fromkeys(branch.repo for branch in PROVENANCE))


class EventScan:
    """Finds events.

    Args:
        wall: seconds since 1970.
    """

    def __init__(self, wall: Callable[[], float]) -> None:
        self._wall = wall
        self._settled: dict[str, str] = {}
        self._recent: dict[str, list[Commit]] = {}

    def events(self, client: Connection) -> list[Event]:
        """Return the events that are news, whether they were sent or not, oldest first within each repo."""
        self._recent = {repo: self._newest(client, repo) for repo in OUTPUTS}
        found: list[Event] = []
        for commits in self._recent.values():
            for commit in reversed(commits):
                found += _events_of(client, commit, commits)
        return found

    def settle(self, pending: Collection[CommitId]) -> None:
        """Record that the commits seen last are dealt with, but for those by which undelivered events were found."""
        for repo, commits in self._recent.items():
            for commit in reversed(commits):
                if not commit.ended or CommitId(commit.repo, commit.id) in pending:
                    break
                self._settled[repo] = commit.id

    def _newest(self, client: Connection, repo: str) -> list[Commit]:
        """Return the commits that are neither settled nor old, newest first."""
        found = []
        for commit in all_commits(client, repo):
            old = commit.finished is not None and commit.finished < self._wall() - NEWS_FOR
            if old or commit.id == self._settled.get(repo):
                break
            found.append(commit)
        return found


def _events_of(client: Connection, commit: Commit, newest: Sequence[Commit]) -> Iterator[Event]:
    if commit.state == "failed" and not any(commit.error.startswith(f"failed: {p}:") for p in commit.provenance):
        yield event.failed(commit)
    if commit.repo == GENERATE_IMAGES.repo:
        yield from _move(client, commit)
    decision = gate_decision_of(commit) if commit.repo == MODEL.repo and commit.state == "good" else None
    if decision is not None and decision.outcome == "held back":
        yield event.held_back(commit, decision)
    if decision is not None and waits(commit, newest):
        yield event.waiting(commit, decision)


def _move(client: Connection, opened: Commit) -> Iterator[Event]:
    """Yield the promotion or roll-back that opened a commit of `generate_images`."""
    for source in opened.provenance:
        if source.repo != MODEL.repo:
            continue
        model = inspect(client, source.repo, source.id)
        for word, describe in ((PROMOTED, event.promoted), (ROLLED_BACK, event.rolled_back)):
            value = model.metadata.get(f"{word}.{opened.id}")
            if value is not None:
                yield describe(model, opened, _before(client, value))


def _before(client: Connection, value: str) -> str:
    """Return the id of the model that was in use before a move; empty if it is unknown or held no model."""
    try:
        before = str(json.loads(value)["from"])
        # The first head of `model@master` holds no model and was made from nothing.
        return before if before and inspect(client, MODEL.repo, before).provenance else ""
    except (ValueError, TypeError, KeyError, RecursionError):
        return ""


def oldest_open(client: Connection) -> Commit | None:
    """Return the output commit that has been open for longest, or None."""
    opened = [commit for repo in OUTPUTS for commit in all_commits(client, repo) if commit.state == "open"]
    return min(opened, key=lambda commit: commit.started, default=None)
