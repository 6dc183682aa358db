"""References to commits on the command line: an id, a prefix of one, a branch, an ancestor, a run's name."""

from __future__ import annotations

import difflib
import json
import re
from collections.abc import Iterable, Sequence

import grpc
from pachyderm_sdk.api import pfs

from pachyderm.client.branches import BranchName
from pachyderm.client.commits import Commit, all_commits, head, inspect
from pachyderm.client.connection import Connection
from pachyderm.dag.repos import INPUTS, MODEL, PROVENANCE, REPOS
from pachyderm.dag.setup import check_set_up
from pachyderm.errors import RequestError

_ID = re.compile(r"[0-9a-f]{32}")
_PREFIX = re.compile(r"[0-9a-f]{6,31}")
_REFERENCE = re.compile(r"(?P<name>[A-Za-z0-9_-]+)(?P<ancestry>(?:[\^~][0-9]{0,9})*)")
# `<pipeline> <commit set> <attempt>`, with hyphens on this machine.
_RUN_NAME = re.compile(r"[a-z_]+[ -](?P<commit_set>[0-9a-f]{6,32})[ -][0-9]+")
_CLAIM = re.compile(r"run\.[0-9]+")

NEAREST = 3
"""Most matches that are suggested for a reference that is not found."""


def resolve(client: Connection, repo: str, text: str = "master") -> Commit:
    """Find a commit of a repo.

    Args:
        client: the connection.
        repo: the repo's name.
        text: a branch, an id (of a commit or of its commit set), a unique prefix of at least 6 hex digits, or the name
            or id of a run; the first three optionally followed by ``^`` or ``^2``.

    Raises:
        RequestError: repo, branch or commit not found, with the nearest matches; or the prefix is ambiguous, with the
            commits that it fits.
    """
    reference = _REFERENCE.fullmatch(text)
    if not reference:
        commit_set = _set_of_run(client, text)
        if commit_set is not None:
            return inspect(client, existing_repo(client, repo), commit_set)
        raise RequestError(
            f"{text!r} is not a commit reference; give an id, at least 6 of its digits, a branch, REPO@BRANCH^2, or the"
            " name of a run"
        )
    commit = _named(client, existing_repo(client, repo), reference["name"])
    for _ in range(generations(reference["ancestry"])):
        if commit.parent is None:
            raise RequestError(
                f"{repo}@{text} goes back beyond the first commit of {repo}; `pix2pix log {repo}` lists its commits"
            )
        commit = inspect(client, repo, commit.parent)
    return commit


def resolve_any(client: Connection, text: str) -> Commit:
    """Find a commit by ``REPO@COMMIT``, or by an id, a prefix or a run alone in any repo of the DAG.

    Raises:
        RequestError: not found, ambiguous, or the repos are not set up.
    """
    if "@" in text:
        repo, _, rest = text.partition("@")
        return resolve(client, repo, rest or "master")
    check_set_up(client)
    commits = [commit for repo in REPOS for commit in all_commits(client, repo)]
    found: dict[str, list[Commit]] = {}
    for commit in commits:
        if commit.id.startswith(text):
            found.setdefault(commit.id, []).append(commit)
    if len(found) > 1 and len(text) >= 6:
        raise _ambiguous(text, [entries[0] for entries in found.values()])
    if len(found) == 1 and len(text) >= 6:
        return next(iter(found.values()))[0]
    commit_set = _set_of_run(client, text)
    of_run = next((commit for commit in commits if commit.id == commit_set), None)
    if of_run is not None:
        return of_run
    raise RequestError(f"commit {text} not found{_nearest(text, commits)}; `pix2pix log REPO` lists a repo's commits")


def split(text: str, branch: str = "master") -> tuple[str, str, str]:
    """Split ``REPO[@COMMIT][:PATH]`` into repo, commit and path."""
    name, _, path = text.partition(":")
    repo, _, commit = name.partition("@")
    return repo, commit or branch, path or "/"


def refuse_output(name: BranchName) -> None:
    """Refuse to write by hand to a branch that a pipeline fills.

    Raises:
        RequestError: it is one; the message names the inputs.
    """
    if name in PROVENANCE or name == MODEL:
        inputs = " or ".join(source.repo for source in INPUTS)
        raise RequestError(f"{name} is filled by a pipeline and cannot be written by hand; put the files into {inputs}")


def existing_repo(client: Connection, repo: str) -> str:
    """Return the name of a repo that exists.

    Raises:
        RequestError: repo not found; the message suggests the nearest and lists those that exist.
    """
    try:
        client.pfs.inspect_repo(repo=client.repo(repo))
    except grpc.RpcError as error:
        if error.code() is not grpc.StatusCode.NOT_FOUND and "not found" not in (error.details() or ""):
            raise
        project = [pfs.Project(name=client.project)]
        present = sorted(info.repo.name for info in client.pfs.list_repo(type="user", projects=project))
        shown = ", ".join(present[:12]) + (f" and {len(present) - 12} more" if len(present) > 12 else "")
        near = difflib.get_close_matches(repo, present, n=1)
        suggestion = f" (did you mean {near[0]}?)" if near else ""
        raise RequestError(
            f"repo {repo} not found{suggestion}; existing repos: {shown or 'none; run pix2pix setup'}"
        ) from error
    return repo


def _named(client: Connection, repo: str, name: str) -> Commit:
    """Find the commit that a reference without its ancestry names."""
    if _PREFIX.fullmatch(name):
        # A branch may have such a name, so that one without a commit is not an error yet.
        commits = [commit for commit in all_commits(client, repo) if commit.id.startswith(name)]
        if len(commits) > 1:
            raise _ambiguous(name, commits)
        if commits:
            return commits[0]
    try:
        return inspect(client, repo, name) if _ID.fullmatch(name) else head(client, BranchName(repo, name))
    except RequestError as error:
        commit_set = _set_of_run(client, name)
        if commit_set is not None:
            return inspect(client, repo, commit_set)
        branches = [info.branch.name for info in client.pfs.list_branch(repo=client.repo(repo))]
        raise RequestError(
            f"commit or branch {name} not found in the repo {repo}"
            f"{_nearest(name, all_commits(client, repo), branches)}; its branches: {', '.join(branches) or 'none'}"
        ) from error


def _set_of_run(client: Connection, name: str) -> str | None:
    """Return the commit set that a run filled: from its name, or from the claims of the run."""
    match = _RUN_NAME.fullmatch(name)
    for repo in dict.fromkeys(branch.repo for branch in PROVENANCE):
        for commit in all_commits(client, repo):
            if match and commit.id.startswith(match["commit_set"]):
                return commit.id
            if any(_CLAIM.fullmatch(key) and _holder(value) == name for key, value in commit.metadata.items()):
                return commit.id
    return None


def _holder(claim: str) -> str:
    """Return the run of a claim (`pachyderm.queue.claims`); empty if the metadata is malformed."""
    try:
        return str(json.loads(claim)["run"])
    except (ValueError, TypeError, KeyError, RecursionError):
        return ""


def generations(ancestry: str) -> int:
    """Count the parents to follow, e.g. 3 for ``^^2``."""
    return sum(int(number or 1) for number in re.findall(r"[\^~]([0-9]*)", ancestry))


def _ambiguous(prefix: str, commits: Sequence[Commit]) -> RequestError:
    fitting = "\n".join(f"{commit}  {_moment(commit)}" for commit in commits)
    return RequestError(f"{prefix} is a prefix of {len(commits)} commits; give more digits of one of\n{fitting}")


def _moment(commit: Commit) -> str:
    return " ".join(filter(None, (commit.state, commit.description or commit.metadata.get("message", ""))))


def _nearest(name: str, commits: Iterable[Commit], branches: Sequence[str] = ()) -> str:
    """Return the names most like one that was not found, as a part of a sentence; empty if none is."""
    known = {commit.id[: len(name)]: str(commit) for commit in commits} if re.fullmatch(r"[0-9a-f]+", name) else {}
    candidates = {**known, **{branch: branch for branch in branches}}
    near = [candidates[match] for match in difflib.get_close_matches(name, candidates, n=NEAREST, cutoff=0.6)]
    return f" (nearest: {', '.join(near)})" if near else ""
