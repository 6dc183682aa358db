"""References to commits on the command line: an id, a prefix of one, a branch, an ancestor."""

from __future__ import annotations

import re

import grpc
from pachyderm_sdk.api import pfs

from pachyderm.client.branches import BranchName
from pachyderm.client.commits import Commit, all_commits, head, inspect
from pachyderm.client.connection import Connection
from pachyderm.dag.repos import REPOS
from pachyderm.dag.setup import check_set_up
from pachyderm.errors import RequestError

_ID = re.compile(r"[0-9a-f]{32}")
_PREFIX = re.compile(r"[0-9a-f]{6,31}")
_REFERENCE = re.compile(r"(?P<name>[A-Za-z0-9_-]+)(?P<ancestry>(?:\^\d*|~\d*)*)")


def resolve(client: Connection, repo: str, text: str = "master") -> Commit:
    """Find a commit of a repo.

    Args:
        client: the connection.
        repo: the repo's name.
        text: a branch, an id, or a unique prefix of at least 6 hex digits, optionally followed by ``^`` or ``^2``.

    Raises:
        RequestError: repo, branch or commit not found, or the prefix is ambiguous.
    """
    reference = _REFERENCE.fullmatch(text)
    if not reference:
        raise RequestError(
            f"{text!r} is not a commit reference; give an id, at least 6 of its digits, a branch, or REPO@BRANCH^2"
        )
    name = reference["name"]
    commit = _by_prefix(client, repo, name) if _PREFIX.fullmatch(name) else None
    if commit is None:
        commit = inspect(client, repo, name) if _ID.fullmatch(name) else _branch_head(client, repo, name)
    for _ in range(_generations(reference["ancestry"])):
        if commit.parent is None:
            raise RequestError(
                f"{repo}@{text} goes back beyond the first commit of {repo}; `pix2pix log {repo}` lists its commits"
            )
        commit = inspect(client, repo, commit.parent)
    return commit


def resolve_any(client: Connection, text: str) -> Commit:
    """Find a commit by ``REPO@COMMIT``, or by an id or prefix alone in any repo of the DAG.

    Raises:
        RequestError: not found, ambiguous, or the repos are not set up.
    """
    if "@" in text:
        repo, _, rest = text.partition("@")
        return resolve(client, repo, rest or "master")
    check_set_up(client)
    found: dict[str, Commit] = {}
    for repo in REPOS:
        for commit in all_commits(client, repo):
            if commit.id.startswith(text):
                found.setdefault(commit.id, commit)
    if len(text) < 6 or not found:
        raise RequestError(f"commit {text} not found; `pix2pix log REPO` lists the commits of a repo")
    if len(found) > 1:
        raise RequestError(f"{text} is a prefix of {len(found)} ids: {', '.join(sorted(found))}; give more digits")
    return next(iter(found.values()))


def split(text: str, branch: str = "master") -> tuple[str, str, str]:
    """Split ``REPO[@COMMIT][:PATH]`` into repo, commit and path."""
    name, _, path = text.partition(":")
    repo, _, commit = name.partition("@")
    return repo, commit or branch, path or "/"


def _generations(ancestry: str) -> int:
    """Count the parents to follow, e.g. 3 for ``^^2``."""
    return sum(int(number or 1) for number in re.findall(r"[\^~](\d*)", ancestry))


def _by_prefix(client: Connection, repo: str, prefix: str) -> Commit | None:
    """Return the only commit whose id starts with a prefix; None without one, since a branch may have that name."""
    commits = all_commits(client, existing_repo(client, repo))
    found = {commit.id: commit for commit in commits if commit.id.startswith(prefix)}
    if len(found) > 1:
        ids = ", ".join(sorted(found))
        raise RequestError(f"{prefix} is a prefix of {len(found)} commits of {repo}: {ids}; give more digits")
    return next(iter(found.values()), None)


def _branch_head(client: Connection, repo: str, branch: str) -> Commit:
    name = BranchName(existing_repo(client, repo), branch)
    try:
        return head(client, name)
    except RequestError as error:
        branches = ", ".join(info.branch.name for info in client.pfs.list_branch(repo=client.repo(repo)))
        raise RequestError(
            f"the repo {repo} has no branch or commit {branch}; its branches: {branches or 'none'}"
        ) from error


def existing_repo(client: Connection, repo: str) -> str:
    """Return the name of a repo that exists.

    Raises:
        RequestError: repo not found; the message lists those that exist.
    """
    try:
        client.pfs.inspect_repo(repo=client.repo(repo))
    except grpc.RpcError as error:
        if error.code() is not grpc.StatusCode.NOT_FOUND and "not found" not in (error.details() or ""):
            raise
        project = [pfs.Project(name=client.project)]
        present = sorted(info.repo.name for info in client.pfs.list_repo(type="user", projects=project))
        shown = ", ".join(present[:12]) + (f" and {len(present) - 12} more" if len(present) > 12 else "")
        raise RequestError(f"repo {repo} not found; existing repos: {shown or 'none; run pix2pix setup'}") from error
    return repo
