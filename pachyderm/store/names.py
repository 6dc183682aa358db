"""Names of projects, repos, branches and commits: pachd's defaults, validation and text form."""

from __future__ import annotations

import re
import uuid
from typing import Any, NamedTuple

from pachyderm.store.status_errors import StatusError, invalid_argument

DEFAULT = "default"
USER = "user"
FILE_SETS = "__filesets__"
"""Repo name under which clients read a file set as a commit."""
LONGEST = 1024
"""Maximum number of characters in a name; pachd has no such limit."""

_valid = re.compile(r"[a-zA-Z0-9_-]+\Z")
_set_id = re.compile(r"[0-9a-fA-F]{12}4[0-9a-fA-F]{19}\Z")
_ancestry = re.compile(r"(?P<base>[^.^~]*)(?:\.(?P<root>\d+))?(?P<up>\^+|~+|\^\d+|~\d+)?\Z")


class RepoName(NamedTuple):
    """Full name of a repo."""

    project: str
    name: str
    type: str

    def __str__(self) -> str:
        return f"{self.project}/{self.name}" + ("" if self.type == USER else f".{self.type}")


class Reference(NamedTuple):
    """A commit as a request names it.

    Attributes:
        repo: the repo.
        base: id of a commit set, or name of a branch.
        root: position counted from the first commit of the branch (1), for ``branch.N``; 0 if not given.
        up: number of parents to follow, for ``^N`` and ``~N``.
    """

    repo: RepoName
    base: str
    root: int
    up: int

    def __str__(self) -> str:
        return f"{self.repo}@{self.base}" + (f".{self.root}" if self.root else "") + (f"^{self.up}" if self.up else "")


def new_id() -> str:
    """Return a new id for a commit set, file set or transaction: a version 4 UUID without dashes."""
    return uuid.uuid4().hex


def is_set_id(text: str) -> bool:
    """Whether a text has the form of a commit set id."""
    return bool(_set_id.match(text))


def check_name(name: str) -> None:
    """Raise `StatusError` for a repo or branch name that pachd refuses."""
    if not _valid.match(name):
        raise StatusError(
            f"name ({name[:100]}) invalid: only alphanumeric characters, underscores, and dashes are allowed"
        )
    if len(name) > LONGEST:
        raise invalid_argument(f"name ({name[:40]}...) invalid: longer than {LONGEST} characters")


def check_branch_name(name: str) -> None:
    """Raise `StatusError` for a branch name that pachd refuses."""
    check_name(name)
    if is_set_id(name):
        raise StatusError("branch name cannot be a UUID V4")


def check_project_name(name: str) -> None:
    """Raise `StatusError` for a project name that pachd refuses."""
    if name == DEFAULT:
        return
    longest = 63 - 8 - len("-v99")
    if len(name) > longest:
        raise StatusError(
            f'project name "{name[:100]}" is {len(name) - longest} characters longer than the {longest} max'
        )
    check_name(name)
    if not name[0].isalnum():
        raise StatusError("project names must start with an alphanumeric character")


def repo_name(repo: Any) -> RepoName:
    """Return the name in a `Repo` message, with pachd's defaults filled in."""
    return RepoName((repo.project and repo.project.name) or DEFAULT, repo.name or "", repo.type or USER)


def repo_of_commit(commit: Any) -> RepoName:
    """Return the repo of a `Commit` message: its own, or that of its branch.

    Raises:
        StatusError: the message names no repo.
    """
    for repo in (commit.repo, commit.branch.repo if commit.branch else None):
        if repo is not None and repo.name:
            return repo_name(repo)
    raise StatusError("commit must have a repo")


def reference(commit: Any) -> Reference:
    """Parse a `Commit` message.

    Raises:
        StatusError: the message names no commit, or its ancestry is malformed.
    """
    repo = repo_of_commit(commit)
    text, branch = commit.id or "", (commit.branch and commit.branch.name) or ""
    if (not text or text[0] in ".^~") and branch:
        text = branch + text
    if not text:
        raise StatusError("cannot pick commit with no ID or branch")
    return parse_reference(repo, text)


def parse_reference(repo: RepoName, text: str) -> Reference:
    """Parse the part after the @, e.g. ``master``, ``master^2``, ``master.1``, ``<id>~``."""
    found = _ancestry.match(text)
    if not found or not found["base"] or len(text) > LONGEST:
        raise StatusError(f"invalid ancestry format: {text[:100]}")
    if found["root"] is not None and int(found["root"]) < 1:
        raise StatusError(f"invalid offset from branch root: {text[:100]}; the first commit is .1")
    up = found["up"] or ""
    steps = int(up[1:]) if up[1:].isdigit() else len(up)
    base = found["base"].lower() if is_set_id(found["base"]) else found["base"]
    return Reference(repo, base, int(found["root"] or 0), steps)
