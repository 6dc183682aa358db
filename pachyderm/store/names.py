"""Names of projects, repos, branches and commits, as requests give them and as pachd prints them.

It exists so that what a request names is read in one place, with pachd's defaults and refusals.
"""

from __future__ import annotations

import re
import uuid
from typing import Any, NamedTuple

from pachyderm.store.refusals import Refusal, invalid

DEFAULT = "default"
USER = "user"
FILE_SETS = "__filesets__"
"""The repo name under which a file set is read as if it were a commit."""
LONGEST = 1024
"""Characters in a name; pachd has no such limit."""

_valid = re.compile(r"[a-zA-Z0-9_-]+\Z")
_set_id = re.compile(r"[0-9a-fA-F]{12}4[0-9a-fA-F]{19}\Z")
_ancestry = re.compile(r"(?P<base>[^.^~]*)(?:\.(?P<root>\d+))?(?P<up>\^+|~+|\^\d+|~\d+)?\Z")


class RepoName(NamedTuple):
    """A repo's full name."""

    project: str
    name: str
    type: str

    def __str__(self) -> str:
        return f"{self.project}/{self.name}" + ("" if self.type == USER else f".{self.type}")


class Reference(NamedTuple):
    """What a request calls a commit.

    Attributes:
        repo: the repo.
        base: a commit set's id, or a branch's name.
        root: with a branch, the n-th commit from its first one, counted from 1; 0 without.
        up: so many commits back.
    """

    repo: RepoName
    base: str
    root: int
    up: int

    def __str__(self) -> str:
        return f"{self.repo}@{self.base}" + (f".{self.root}" if self.root else "") + (f"^{self.up}" if self.up else "")


def new_id() -> str:
    """An id for a commit set or a transaction: a UUID of version 4 without dashes."""
    return uuid.uuid4().hex


def is_set_id(text: str) -> bool:
    """Whether a text has the form of a commit set's id."""
    return bool(_set_id.match(text))


def check_name(name: str) -> None:
    """Refuse a name of a repo or branch that pachd refuses."""
    if not _valid.match(name):
        raise Refusal(f"name ({name[:100]}) invalid: only alphanumeric characters, underscores, and dashes are allowed")
    if len(name) > LONGEST:
        raise invalid(f"name ({name[:40]}...) invalid: longer than {LONGEST} characters")


def check_branch_name(name: str) -> None:
    """Refuse a name of a branch that pachd refuses."""
    check_name(name)
    if is_set_id(name):
        raise Refusal("branch name cannot be a UUID V4")


def check_project_name(name: str) -> None:
    """Refuse a name of a project that pachd refuses."""
    if name == DEFAULT:
        return
    longest = 63 - 8 - len("-v99")
    if len(name) > longest:
        raise Refusal(f'project name "{name[:100]}" is {len(name) - longest} characters longer than the {longest} max')
    check_name(name)
    if not name[0].isalnum():
        raise Refusal("project names must start with an alphanumeric character")


def repo_name(repo: Any) -> RepoName:
    """The name in a `Repo` message, with pachd's defaults."""
    return RepoName((repo.project and repo.project.name) or DEFAULT, repo.name or "", repo.type or USER)


def repo_of_commit(commit: Any) -> RepoName:
    """The repo that a `Commit` message names, itself or through its branch.

    Raises:
        Refusal: it names none.
    """
    for repo in (commit.repo, commit.branch.repo if commit.branch else None):
        if repo is not None and repo.name:
            return repo_name(repo)
    raise Refusal("commit must have a repo")


def reference(commit: Any) -> Reference:
    """Read a `Commit` message.

    Raises:
        Refusal: it names no commit, or its ancestry is malformed.
    """
    repo = repo_of_commit(commit)
    text, branch = commit.id or "", (commit.branch and commit.branch.name) or ""
    if (not text or text[0] in ".^~") and branch:
        text = branch + text
    if not text:
        raise Refusal("cannot pick commit with no ID or branch")
    return parse_reference(repo, text)


def parse_reference(repo: RepoName, text: str) -> Reference:
    """Read the part behind the @: ``master``, ``master^2``, ``master.1``, ``<id>~``."""
    found = _ancestry.match(text)
    if not found or not found["base"] or len(text) > LONGEST:
        raise Refusal(f"invalid ancestry format: {text[:100]}")
    if found["root"] is not None and int(found["root"]) < 1:
        raise Refusal(f"invalid offset from branch root: {text[:100]}; the first commit is .1")
    up = found["up"] or ""
    steps = int(up[1:]) if up[1:].isdigit() else len(up)
    base = found["base"].lower() if is_set_id(found["base"]) else found["base"]
    return Reference(repo, base, int(found["root"] or 0), steps)
