"""Creates the repos, branches and provenance of the DAG, and checks existing ones.

All of it must exist before the first input commit, because provenance is what opens output commits.
"""

from __future__ import annotations

import logging
from collections.abc import Iterable
from dataclasses import dataclass

import grpc
from pachyderm_sdk.api import pfs

from pachyderm.client.branches import BranchName
from pachyderm.client.commits import Commit, CommitId, head, inspect
from pachyderm.client.connection import Connection
from pachyderm.dag.repos import INPUT_DESCRIPTIONS, INPUTS, MODEL, PROVENANCE, REPOS, STAGES
from pachyderm.errors import RequestError

logger = logging.getLogger(__name__)

MAX_ATTEMPTS = 5
"""Attempts of a set-up that loses a race against a concurrent one."""


@dataclass(frozen=True)
class SetUp:
    """The result of `set_up`; names of repos and of branches (``repo@branch``).

    Attributes:
        created: what was missing.
        existing: what was there before.
    """

    created: tuple[str, ...]
    existing: tuple[str, ...]


def set_up(client: Connection) -> SetUp:
    """Create the repos, branches and provenance that are missing; start again if a concurrent set-up creates some.

    Output commits that set-up itself opens over empty inputs are finished empty; an input that holds data is work.

    Raises:
        RequestError: the repos exist with other provenance; nothing is changed.
    """
    for _ in range(MAX_ATTEMPTS - 1):
        try:
            return _create_missing(client)
        except grpc.RpcError as error:
            if error.code() is not grpc.StatusCode.ALREADY_EXISTS and "already exists" not in (error.details() or ""):
                raise
            logger.info("another set-up is running; starting again: %s", error.details())
    return _create_missing(client)


def _create_missing(client: Connection) -> SetUp:
    if client.project not in {info.project.name for info in client.pfs.list_project()}:
        client.pfs.create_project(project=pfs.Project(name=client.project))
    before = _branches(client)
    _refuse_another_dag(before)
    missing_repos = [name for name in REPOS if name not in before]
    created, existing = list(missing_repos), [name for name in REPOS if name in before]
    # Two transactions: pachd cannot give heads to two branches of one repo in one ("inconsistent commit").
    for batch in _batches():
        missing = [name for name in batch if name.branch not in before.get(name.repo, {})]
        created += [str(name) for name in missing]
        existing += [str(name) for name in batch if name not in missing]
        if missing or missing_repos:
            with client.transaction.transaction():
                for repo in missing_repos:
                    client.pfs.create_repo(repo=client.repo(repo), description=_DESCRIPTIONS[repo])
                for name in missing:
                    provenance = [client.branch(p) for p in PROVENANCE.get(name, ())]
                    client.pfs.create_branch(branch=client.branch(name), provenance=provenance)
            missing_repos = []
        _finish_empty(client, missing)
    return SetUp(tuple(created), tuple(existing))


def _batches() -> tuple[tuple[BranchName, ...], tuple[BranchName, ...]]:
    """The branches in the order of their creation: all that does not depend on the model in use, then the rest."""
    later: list[BranchName] = [MODEL]
    for stage in STAGES:
        if any(branch in later for branch in stage.inputs):
            later.append(stage.output)
    first = [branch for branch in (*INPUTS, *PROVENANCE) if branch not in later]
    return tuple(first), tuple(later)


def check_set_up(client: Connection) -> None:
    """Check that set-up was done.

    Raises:
        RequestError: a repo or branch is missing, or has other provenance.
    """
    present = _branches(client)
    _refuse_another_dag(present)
    missing = [str(name) for name in (*INPUTS, MODEL, *PROVENANCE) if name.branch not in present.get(name.repo, {})]
    if missing:
        raise RequestError(f"the repos are not set up here (missing: {', '.join(missing)}); run: pix2pix setup")


_DESCRIPTIONS = {**INPUT_DESCRIPTIONS, **{stage.output.repo: stage.description for stage in STAGES}}


def _branches(client: Connection) -> dict[str, dict[str, frozenset[BranchName]]]:
    """Return repo -> branch -> its direct provenance, for the repos of the DAG that exist."""
    projects = [pfs.Project(name=client.project)]
    present = {info.repo.name for info in client.pfs.list_repo(type="user", projects=projects)}
    return {
        repo: {
            info.branch.name: frozenset(BranchName(source.repo.name, source.name) for source in info.direct_provenance)
            for info in client.pfs.list_branch(repo=client.repo(repo))
        }
        for repo in REPOS
        if repo in present
    }


def _refuse_another_dag(present: dict[str, dict[str, frozenset[BranchName]]]) -> None:
    for name in (*INPUTS, MODEL, *PROVENANCE):
        branches = present.get(name.repo, {})
        expected = frozenset(PROVENANCE.get(name, ()))
        if name.branch in branches and branches[name.branch] != expected:
            raise RequestError(
                f"{name} has the provenance {_names(branches[name.branch])}, but pix2pix needs {_names(expected)}; "
                "another project owns these repos: use another Pachyderm project (PACH_PROJECT), or rename them"
            )


def _names(branches: Iterable[BranchName]) -> str:
    return ", ".join(sorted(map(str, branches))) or "nothing"


def _finish_empty(client: Connection, created: list[BranchName]) -> None:
    """Finish the first output commit of each created branch whose inputs are empty, upstream first."""
    for name in PROVENANCE:
        if name not in created:
            continue
        first = head(client, name)
        if first.state == "open" and not any(_holds_files(client, source) for source in first.provenance):
            _finish(client, first)
            inspect(client, name.repo, first.id, wait=True)


def _finish(client: Connection, commit: Commit) -> None:
    try:
        client.pfs.finish_commit(commit=client.commit(commit.repo, commit.id))
    except grpc.RpcError as error:
        # A concurrent set-up may have finished it already.
        if "already" not in (error.details() or ""):
            raise


def _holds_files(client: Connection, source: CommitId) -> bool:
    if not inspect(client, source.repo, source.id).ended:
        return True
    entries = client.pfs.list_file(file=client.file(source.repo, source.id, "/"))
    return next(iter(entries), None) is not None
