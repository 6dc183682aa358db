"""Resolves what people type for a commit: an id, a prefix, a branch, an ancestor.

It exists so that every subcommand takes the same forms and refuses the others with the same words.
"""

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
_ANCESTOR = re.compile(r"(?P<at>[A-Za-z0-9_-]+)(?P<back>(?:\^\d*|~\d*)*)")


def resolve(client: Connection, repo: str, text: str = "master") -> Commit:
    """Find a commit of a repo.

    Args:
        client: the connection.
        repo: the repo's name.
        text: a branch, an id, a unique prefix of 6 hex digits or more, each also with ``^`` or ``^2``.

    Raises:
        RequestError: no such repo, branch or commit, or more than one.
    """
    found = _ANCESTOR.fullmatch(text)
    if not found:
        raise RequestError(
            f"{text!r} names no commit: write an id, 6 or more of its digits, a branch, or REPO@BRANCH^2"
        )
    at, back = found["at"], _steps(found["back"])
    commit = _by_prefix(client, repo, at) if _PREFIX.fullmatch(at) else None
    if commit is None:
        commit = inspect(client, repo, at) if _ID.fullmatch(at) else _branch_head(client, repo, at)
    for _ in range(back):
        if commit.parent is None:
            raise RequestError(f"{repo}@{text} goes back beyond the first commit of {repo}")
        commit = inspect(client, repo, commit.parent)
    return commit


def resolve_any(client: Connection, text: str) -> Commit:
    """Find a commit by ``REPO@COMMIT``, or by an id or prefix alone in whichever of our repos has it.

    Raises:
        RequestError: none, or several different ids; or set-up was not done.
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
        raise RequestError(f"there is no commit {text} here; `pix2pix log REPO` lists those that are")
    if len(found) > 1:
        raise RequestError(f"{text} is the beginning of {len(found)} ids: {', '.join(sorted(found))}; give more of it")
    return next(iter(found.values()))


def split(text: str, branch: str = "master") -> tuple[str, str, str]:
    """Split ``REPO[@COMMIT][:PATH]`` into repo, commit and path."""
    name, _, path = text.partition(":")
    repo, _, commit = name.partition("@")
    return repo, commit or branch, path or "/"


def _steps(text: str) -> int:
    return sum(int(number or 1) for number in re.findall(r"[\^~](\d*)", text))


def _by_prefix(client: Connection, repo: str, prefix: str) -> Commit | None:
    known = {
        commit.id: commit for commit in all_commits(client, existing_repo(client, repo)) if commit.id.startswith(prefix)
    }
    if len(known) > 1:
        raise RequestError(f"{prefix} is the beginning of {len(known)} commits of {repo}: {', '.join(sorted(known))}")
    return next(iter(known.values()), None)


def _branch_head(client: Connection, repo: str, branch: str) -> Commit:
    name = BranchName(existing_repo(client, repo), branch)
    try:
        return head(client, name)
    except RequestError as error:
        branches = ", ".join(info.branch.name for info in client.pfs.list_branch(repo=client.repo(repo)))
        raise RequestError(
            f"the repo {repo} has no branch or commit {branch}; its branches are: {branches or 'none'}"
        ) from error


def existing_repo(client: Connection, repo: str) -> str:
    """The name of a repo that is there.

    Raises:
        RequestError: it is not; the text lists those that are.
    """
    try:
        client.pfs.inspect_repo(repo=client.repo(repo))
    except grpc.RpcError as error:
        if error.code() is not grpc.StatusCode.NOT_FOUND and "not found" not in (error.details() or ""):
            raise
        project = [pfs.Project(name=client.project)]
        present = sorted(info.repo.name for info in client.pfs.list_repo(type="user", projects=project))
        shown = ", ".join(present[:12]) + (f" and {len(present) - 12} more" if len(present) > 12 else "")
        raise RequestError(f"there is no repo {repo} here; there are: {shown or 'none; run pix2pix setup'}") from error
    return repo
