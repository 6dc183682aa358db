"""The queue of work: output commits that are open, found along the parents of each output branch's head.

The walk ends at the first good commit: nothing older than that can be open.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from pachyderm.client.branches import BranchName
from pachyderm.client.commits import Commit, CommitId, State, history, inspect
from pachyderm.client.connection import Connection
from pachyderm.dag.repos import INPUTS, PROVENANCE
from pachyderm.errors import RequestError
from pachyderm.queue.claims import give_back, live_claim
from pachyderm.queue.source_commit import data_source

_FIRST_PAGE = 1
_PAGE_GROWTH = 8

_INPUT_REPOS = frozenset(branch.repo for branch in INPUTS)

_CLOSED = ("good", "failed", "superseded", "cancelled")


@dataclass(frozen=True)
class InputCommit:
    """A commit in the direct provenance of an open commit.

    Attributes:
        repo: its repo.
        id: 32 hex digits.
        state: open, finishing, or how it ended.
        error: its error; empty unless it ended with one.
    """

    repo: str
    id: str
    state: State
    error: str = ""

    def __str__(self) -> str:
        return f"{self.repo}@{self.id}"


@dataclass(frozen=True)
class OpenCommit:
    """An output commit that is open, or that the server is still checking.

    Attributes:
        branch: the branch on whose chain of parents it was found.
        commit: as the server returned it; its metadata holds claims and decisions.
        inputs: its direct provenance.
        source: the commit of its pipeline's own input repo that it goes back to, along the data; None if it was not
            made by this DAG.
        pinned: whether its commit set has its own hyperparameters; such a set is never superseded.
    """

    branch: BranchName
    commit: Commit
    inputs: tuple[InputCommit, ...]
    source: CommitId | None
    pinned: bool

    @property
    def covers_older(self) -> bool:
        """Whether its result makes that of an older commit of its branch unnecessary.

        Not if it is pinned, since such a model is promoted only by hand, and not while an input commit is still
        being written, since that may be dropped.
        """
        return not self.pinned and all(entry.state == "good" for entry in self.inputs if entry.repo in _INPUT_REPOS)


class OpenCommits:
    """Finds open output commits by repeated scans, and caches what can no longer change.

    Args:
        client: the connection.
        branches: the output branches, upstream first.

    Attributes:
        heads: the head of each branch at the last scan, open or not.
    """

    def __init__(self, client: Connection, branches: Sequence[BranchName] = tuple(PROVENANCE)) -> None:
        self._client = client
        self._branches = tuple(branches)
        self._floors: dict[BranchName, str] = {}
        self._closed: dict[CommitId, Commit] = {}
        self._sources: dict[CommitId, tuple[CommitId | None, bool]] = {}
        self.heads: dict[BranchName, Commit] = {}

    def scan(self) -> tuple[OpenCommit, ...]:
        """Return the commits that are open or finishing now: branches upstream first, in each the oldest first."""
        found = [(branch, commit) for branch in self._branches for commit in self._unfinished(branch)]
        inspected = {CommitId(commit.repo, commit.id): commit for _, commit in found}
        self._sources = {key: source for key, source in self._sources.items() if key in inspected}
        complete = [self._with_inputs(branch, commit, inspected) for branch, commit in found]
        open_commits = tuple(entry for entry in complete if entry is not None)
        # Keep only the closed commits that an open commit is made from.
        needed = {CommitId(source.repo, source.id) for entry in open_commits for source in entry.inputs}
        self._closed = {key: commit for key, commit in self._closed.items() if key in needed}
        return open_commits

    def _unfinished(self, branch: BranchName) -> list[Commit]:
        """Return the open and finishing commits of a branch, oldest first."""
        walked = list(self._walk(branch))
        self.heads[branch] = walked[0]
        walked.reverse()
        unfinished = [commit for commit in walked if commit.state not in _CLOSED]
        # Closed commits stay closed, so the next walk may stop at the newest one that has nothing open below it.
        first = unfinished[0].id if unfinished else None
        for commit in walked:
            if commit.id == first:
                break
            self._floors[branch] = commit.id
        return unfinished

    def _walk(self, branch: BranchName) -> Iterator[Commit]:
        """Yield commits from the head back to the first good one or to the floor, inclusive."""
        number, given = _FIRST_PAGE, 0
        while True:
            # ListCommit has no cursor, so each page starts at the head again. Should the head have moved in between,
            # the next scan sees the new commits.
            page = list(history(self._client, branch, number))
            for commit in page[given:]:
                yield commit
                if commit.state == "good" or commit.id == self._floors.get(branch):
                    return
            if len(page) < number:
                return
            given, number = len(page), number * _PAGE_GROWTH

    def _with_inputs(self, branch: BranchName, commit: Commit, inspected: dict[CommitId, Commit]) -> OpenCommit | None:
        key = CommitId(commit.repo, commit.id)
        try:
            inputs = [self._input(entry, inspected) for entry in commit.provenance]
            if key not in self._sources:
                self._sources[key] = self._source(commit, inspected)
        except RequestError:
            # Dropped between the two requests; the next scan sees the outcome.
            return None
        source, pinned = self._sources[key]
        states = tuple(InputCommit(entry.repo, entry.id, entry.state, entry.error) for entry in inputs)
        return OpenCommit(branch, commit, states, source, pinned)

    def _input(self, key: CommitId, inspected: dict[CommitId, Commit]) -> Commit:
        if key in inspected:
            return inspected[key]
        if key in self._closed:
            return self._closed[key]
        commit = inspected[key] = inspect(self._client, key.repo, key.id)
        if commit.state in _CLOSED and commit.ended:
            self._closed[key] = commit
        return commit

    def _source(self, commit: Commit, inspected: dict[CommitId, Commit]) -> tuple[CommitId | None, bool]:
        """Return the input commit that a commit goes back to, and whether the commit set is pinned."""
        # Not from the cache of closed commits: hyperparameters are written, before anyone sees their commit set, on an
        # input commit that may be much older. What this scan inspected after it found the commit set has them.
        source = data_source(self._client, commit, inspected)
        if source is None:
            return None, False
        return CommitId(source.repo, source.id), f"hyperparameters.{commit.id}" in source.metadata


def give_back_claims_of(client: Connection, run: str, why: str) -> tuple[CommitId, ...]:
    """End every claim that a run which is over still holds on open commits.

    Returns:
        the commits.
    """
    given_back = []
    for entry in OpenCommits(client).scan():
        claim = live_claim(entry.commit.metadata)
        if claim is not None and claim.holder == run and give_back(client, entry.commit, claim.number, why):
            given_back.append(CommitId(entry.commit.repo, entry.commit.id))
    return tuple(given_back)
