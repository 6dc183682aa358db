"""The overview: the DAG with its heads, what is waiting and for what, failures, and the history as a timeline."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

from starlette.concurrency import run_in_threadpool
from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import Route

from pachyderm.client.branches import BranchName
from pachyderm.client.commits import Commit, all_commits, head
from pachyderm.client.connection import Connection
from pachyderm.dag.references import resolve_any
from pachyderm.dag.repos import CANDIDATE, GENERATE, INPUTS, MODEL, REPOS, STAGES
from pachyderm.dag.setup import check_set_up
from pachyderm.dag.short_ids import short_ids
from pachyderm.queue.blockers import Blocker, duration, waiting
from pachyderm.queue.claims import live_claim
from pachyderm.queue.retry import retry
from web.context import WebContext
from web.requests import MEBIBYTE, body_within

RECENT = 12
"""Commits of each repo, and commit sets, in the history."""

SHOWN_FAILURES = 5

ROWS = (
    (INPUTS[0], *(stage.output for stage in STAGES[:2]), MODEL),
    (INPUTS[1], *(stage.output for stage in STAGES[2:])),
)
"""Branches of the two rows of the drawing: the training half and the generation half of the DAG."""

ARROWS = {stage.output: stage.name for stage in STAGES} | {
    MODEL: "promote",
    GENERATE.output: f"{GENERATE.name} with {MODEL}",
}
"""Branch -> what moves it."""


@dataclass(frozen=True)
class Box:
    """A branch in the drawing.

    Attributes:
        branch: ``repo@branch``.
        repo: name of the repo.
        commit: id of the head.
        arrow: what moves this branch: a stage, or ``promote``; empty for an input.
        state: state of the head, or ``empty`` right after the set-up.
        age: age of the head.
    """

    branch: str
    repo: str
    commit: str
    arrow: str
    state: str
    age: str


@dataclass(frozen=True)
class CommitSetRow:
    """A commit set in the history.

    Attributes:
        commit_set: its id.
        time: of its first commit, ISO 8601 in UTC.
        age: of its first commit.
        message: description of the input commit, or what opened the commit set.
        commits: repo and state of each of its commits, upstream first.
        state: ``failed``, ``open`` or ``good``.
        failed_in: the repo whose commit failed first; empty if none did.
        error: the error of that commit.
    """

    commit_set: str
    time: str
    age: str
    message: str
    commits: tuple[tuple[str, str], ...]
    state: str
    failed_in: str
    error: str


class Overview:
    """The overview page and its fragment.

    Args:
        context: of the application.
    """

    def __init__(self, context: WebContext) -> None:
        self._context = context

    def routes(self) -> list[Route]:
        """Return the routes."""
        return [
            Route("/", self.page),
            Route("/fragments/overview", self.fragment),
            Route("/api/retry", self.retry, methods=["POST"]),
        ]

    def page(self, request: Request) -> Response:
        """Render the page."""
        return self._context.page(request, "overview.html", **self._values())

    def fragment(self, request: Request) -> Response:
        """Render the part that changes."""
        return self._context.page(request, "overview_fragment.html", **self._values())

    async def retry(self, request: Request) -> Response:
        """Run a commit set again; the body is its id."""
        commit_set = (await body_within(request, MEBIBYTE)).decode("ascii", "replace").strip()
        return await run_in_threadpool(self._retry, commit_set)

    def _retry(self, commit_set: str) -> Response:
        with self._context.backend.client() as client:
            result = retry(client, resolve_any(client, commit_set).id, "web", self._context.clock())
        return JSONResponse({"commit_set": result.commit_set})

    def _values(self) -> Mapping[str, Any]:
        now = self._context.clock()
        with self._context.backend.client() as client:
            check_set_up(client)
            blockers = [_progress(blocker) for blocker in waiting(client, now)]
            rows = [[_box(client, branch, now) for branch in row] for row in ROWS]
            history = _history(client, now)
        failed = [row for row in history if row.failed_in]
        return {"rows": rows, "blockers": blockers, "history": history, "failed": failed[:SHOWN_FAILURES]}


def _progress(blocker: Blocker) -> Mapping[str, Any]:
    """Describe an output commit that has not ended, with how far the run that fills it has come."""
    claim = live_claim(blocker.commit.metadata)
    values = {"commit": str(blocker.commit), "pipeline": blocker.pipeline, "reason": short_ids(blocker.reason)}
    return {**values, "done": claim.done if claim else 0, "total": claim.total if claim else 0}


def _box(client: Connection, branch: BranchName, now: float) -> Box:
    commit = head(client, branch)
    state = "empty" if commit.state == "good" and commit.parent is None and not commit.bytes else commit.state
    arrow = ARROWS.get(branch, "")
    name = str(branch) if branch in (CANDIDATE, MODEL) else branch.repo
    return Box(name, branch.repo, commit.id, arrow, state, duration(now - commit.started))


def _history(client: Connection, now: float) -> list[CommitSetRow]:
    """Return the newest commit sets, newest first, without those that `pix2pix setup` made."""
    sets: dict[str, list[Commit]] = {}
    for repo in REPOS:
        for commit in all_commits(client, repo, RECENT):
            if commit.bytes or commit.parent is not None or commit.state != "good":
                sets.setdefault(commit.id, []).append(commit)
    rows = sorted(sets.values(), key=lambda commits: (commits[0].started, commits[0].id), reverse=True)
    return [_row(commits, now) for commits in rows[:RECENT]]


def _row(commits: list[Commit], now: float) -> CommitSetRow:
    first = commits[0]
    time = datetime.fromtimestamp(first.started, UTC).isoformat(" ", "seconds")
    message = first.description or first.metadata.get("message", "")
    if first.repo == GENERATE.output.repo:
        message = "another model in use"
    states = [commit.state for commit in commits]
    state = next((word for word in ("failed", "open", "finishing") if word in states), "good")
    # A commit whose input failed fails alike; the first one has the cause.
    cause = next((commit for commit in commits if commit.state == "failed" and not _inherits(commit)), None)
    return CommitSetRow(
        first.id,
        time,
        duration(now - first.started),
        message,
        tuple((commit.repo, commit.state) for commit in commits),
        state,
        cause.repo if cause else "",
        short_ids(cause.error) if cause else "",
    )


def _inherits(commit: Commit) -> bool:
    return any(commit.error.startswith(f"failed: {source}:") for source in commit.provenance)
