"""What `status` shows: the model in use, what runs, what waits for whom, what failed, and the heads of the repos."""

from __future__ import annotations

import logging
from collections.abc import Iterable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from cli.console import moment

logger = logging.getLogger(__name__)

if TYPE_CHECKING:
    from pachyderm.client.branches import BranchName
    from pachyderm.client.commits import Commit
    from pachyderm.client.connection import Connection
    from pachyderm.queue.blockers import Blocker
    from pachyderm.record.record_cache import RecordCache


FORECAST_COMMITS = 20
"""Open commits up to which the overview has a forecast, which costs some 20 ms a commit."""


@dataclass(frozen=True)
class Overview:
    """A snapshot for people and scripts; every entry is ready for JSON.

    Attributes:
        in_use: the model in use: ``commit``, ``message``, ``since``, ``metrics``; None before the first promotion.
        running: stages at work: ``commit_set``, ``pipeline``, ``commit``, ``run``, ``done``, ``total``,
            ``waits`` (for what outside Pachyderm; empty for nothing).
        waiting: every output commit that has not ended: ``commit_set``, ``pipeline``, ``commit``, ``for``.
        for_people: what waits for a person: ``commit`` and ``for``.
        failed: branches whose newest commit ended with an error: ``commit_set``, ``commit``, ``error``, ``remedy``.
        planned: what the open commits will cause: ``stages`` and ``seconds`` as `pix2pix plan` prints them; None if
            nothing is open, if more than `FORECAST_COMMITS` commits are, or if it cannot be known.
        warnings: about the newest generated pictures.
        repos: the head of each branch.
    """

    in_use: dict[str, Any] | None
    running: list[dict[str, Any]]
    waiting: list[dict[str, Any]]
    for_people: list[dict[str, Any]]
    failed: list[dict[str, Any]]
    planned: dict[str, Any] | None
    warnings: list[str]
    repos: list[dict[str, Any]]


def overview(client: Connection, now: float) -> Overview:
    """Read the overview; `now` is in seconds since 1970.

    Raises:
        RequestError: the repos are not set up.
    """
    from pachyderm.client.commits import head
    from pachyderm.dag.repos import CANDIDATE, GENERATE_IMAGES, INPUTS, MODEL, PROVENANCE
    from pachyderm.dag.setup import check_set_up
    from pachyderm.queue.blockers import waiting
    from pachyderm.record.record_cache import RecordCache

    check_set_up(client)
    branches = (*INPUTS, *PROVENANCE, MODEL)
    heads = {branch: head(client, branch) for branch in branches}
    blockers = waiting(client, now)
    cache = RecordCache(client)
    generated = cache.record(heads[GENERATE_IMAGES])
    return Overview(
        in_use=_in_use(client, cache, heads[MODEL]),
        running=_running(blockers),
        waiting=[_waiting(blocker) for blocker in blockers],
        for_people=_for_people(cache, heads[CANDIDATE], heads[MODEL]),
        failed=_failed(heads[branch] for branch in PROVENANCE),
        planned=_planned(client) if 0 < len(blockers) <= FORECAST_COMMITS else None,
        warnings=list(generated.warnings) if generated else [],
        repos=[_head(branch, commit) for branch, commit in heads.items()],
    )


def _planned(client: Connection) -> dict[str, Any] | None:
    from dataclasses import asdict

    from cli.runs.forecasts import expected
    from pachyderm.errors import PachydermError

    try:
        return asdict(expected(client))
    except PachydermError as error:
        # A commit may end, or be dropped, between two requests.
        logger.debug("nothing can be planned: %s", error)
        return None


def _in_use(client: Connection, cache: RecordCache, commit: Commit) -> dict[str, Any] | None:
    from pachyderm.dag.model_references import moves_to
    from pachyderm.errors import RequestError
    from pachyderm.queue.source_commit import source_of

    record = cache.record(commit)
    if record is None or not record.files:
        return None
    try:
        message = source_of(client, commit).description
    except RequestError:
        message = ""
    since = max((time for time, _ in moves_to(commit)), default=None)
    return {
        "commit": commit.id,
        "message": message,
        "since": moment(since) if since is not None else None,
        "metrics": dict(record.metrics),
    }


def _running(blockers: Iterable[Blocker]) -> list[dict[str, Any]]:
    from pachyderm.queue.claims import live_claim

    rows = []
    for blocker in blockers:
        claim = live_claim(blocker.commit.metadata)
        if claim is not None and blocker.commit.state == "open":
            row = {
                **_waiting(blocker),
                "run": claim.holder,
                "done": claim.done,
                "total": claim.total,
                "waits": claim.waits,
            }
            rows.append({name: value for name, value in row.items() if name != "for"})
    return rows


def _waiting(blocker: Blocker) -> dict[str, Any]:
    return {
        "commit_set": blocker.commit.id,
        "pipeline": blocker.pipeline,
        "commit": str(blocker.commit),
        "for": blocker.reason,
    }


def _for_people(cache: RecordCache, candidate: Commit, in_use: Commit) -> list[dict[str, Any]]:
    """Return the candidate if it was never promoted nor rejected: only a person moves `model@master` to it."""
    from pachyderm.dag.promotion import promotions_of
    from pachyderm.dag.verdict import verdict_of

    record = cache.record(candidate)
    if candidate.id == in_use.id or record is None or not record.files or promotions_of(candidate):
        return []
    verdict = verdict_of(candidate)
    if verdict is not None and verdict.verdict == "rejected":
        return []
    return [{"commit": str(candidate), "for": f"a person: pix2pix review {candidate.id}, or pix2pix promote"}]


def _failed(heads: Iterable[Commit]) -> list[dict[str, Any]]:
    """Return the heads that ended with an error, without those that only inherited the error of an input."""
    rows = []
    seen: set[str] = set()
    for commit in heads:
        if commit.state not in ("failed", "cancelled") or commit.id in seen:
            continue
        seen.add(commit.id)
        remedy = f"pix2pix why {commit.id} explains it; pix2pix retry {commit.id} runs it again"
        rows.append({"commit_set": commit.id, "commit": str(commit), "error": commit.error, "remedy": remedy})
    return rows


def _head(branch: BranchName, commit: Commit) -> dict[str, Any]:
    return {
        "repo": branch.repo,
        "branch": branch.branch,
        "head": commit.id,
        "state": commit.state,
        "error": commit.error,
        "started": moment(commit.started),
    }
