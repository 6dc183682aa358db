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
from pachyderm.queue.blockers import duration, waiting
from pachyderm.queue.retry import retry
from web.context import WebContext
from web.requests import MEBIBYTE, body_within

RECENT = 12
"""Commits of each repo in the timeline."""

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
class TimelineRow:
    """A commit in the timeline."""

    repo: str
    commit: str
    time: str
    age: str
    state: str
    message: str
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
            blockers = [
                {"commit": str(blocker.commit), "pipeline": blocker.pipeline, "reason": blocker.reason}
                for blocker in waiting(client, now)
            ]
            rows = [[_box(client, branch, now) for branch in row] for row in ROWS]
            timeline = _timeline(client, now)
        failed = [row for row in timeline if row.state == "failed"]
        return {"rows": rows, "blockers": blockers, "timeline": timeline, "failed": failed[:5]}


def _box(client: Connection, branch: BranchName, now: float) -> Box:
    commit = head(client, branch)
    state = "empty" if commit.state == "good" and commit.parent is None and not commit.bytes else commit.state
    arrow = ARROWS.get(branch, "")
    name = str(branch) if branch in (CANDIDATE, MODEL) else branch.repo
    return Box(name, branch.repo, commit.id, arrow, state, duration(now - commit.started))


def _timeline(client: Connection, now: float) -> list[TimelineRow]:
    """Return the newest commits of all repos, newest first, without those that `pix2pix setup` made."""
    commits = [commit for repo in REPOS for commit in all_commits(client, repo, RECENT)]
    commits = [commit for commit in commits if commit.bytes or commit.parent is not None or commit.state != "good"]
    commits.sort(key=lambda commit: (commit.started, commit.id), reverse=True)
    return [_row(commit, now) for commit in commits[: 3 * RECENT]]


def _row(commit: Commit, now: float) -> TimelineRow:
    time = datetime.fromtimestamp(commit.started, UTC).isoformat(" ", "seconds")
    message = commit.description or commit.metadata.get("message", "")
    age = duration(now - commit.started)
    return TimelineRow(commit.repo, commit.id, time, age, commit.state, message, commit.error)
