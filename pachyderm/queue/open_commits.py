"""Finds the output commits that are still to be filled: pachd's own durable queue of work.

It exists so that the trigger, `status` and `retry` compute what is open from the same walk: along the parent chain of
each output branch's head, newest to oldest, until the first good one, for nothing older can be open.
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
    """A commit that an open commit is made from, directly.

    Attributes:
        state: how far it is, or how it ended.
        error: its error, empty for a good one.
    """

    repo: str
    id: str
    state: State
    error: str = ""

    def __str__(self) -> str:
        return f"{self.repo}@{self.id}"


@dataclass(frozen=True)
class OpenCommit:
    """An output commit that is open, or that the server still checks.

    Attributes:
        branch: the branch on whose chain it was found.
        commit: as the server told it; its metadata holds claims and decisions.
        inputs: what it is made from, directly.
        source: the commit of its pipeline's own input repo that it goes back to, along the data; None where it was
            not made by this DAG.
        pinned: whether its set was opened with hyperparameters of its own; such a set is never superseded.
    """

    branch: BranchName
    commit: Commit
    inputs: tuple[InputCommit, ...]
    source: CommitId | None
    pinned: bool

    @property
    def covers_older(self) -> bool:
        """Whether its result makes that of an older commit of its branch unnecessary.

        A model that was trained with hyperparameters of its own is never promoted by itself, and an input commit that
        is still being written may be dropped.
        """
        return not self.pinned and all(one.state == "good" for one in self.inputs if one.repo in _INPUT_REPOS)


class OpenCommits:
    """Looks for open output commits again and again, and remembers what can no longer change.

    Args:
        client: the connection.
        branches: the output branches, upstream first.
    """

    def __init__(self, client: Connection, branches: Sequence[BranchName] = tuple(PROVENANCE)) -> None:
        self._client = client
        self._branches = tuple(branches)
        self._floors: dict[BranchName, str] = {}
        self._closed: dict[CommitId, Commit] = {}
        self._sources: dict[CommitId, tuple[CommitId | None, bool]] = {}
        self.heads: dict[BranchName, Commit] = {}
        """The head of each branch at the last look, open or not."""

    def look(self) -> tuple[OpenCommit, ...]:
        """What is open or finishing now: branch by branch, upstream first; in each, oldest first."""
        found = [(branch, commit) for branch in self._branches for commit in self._unfinished(branch)]
        open_now = {CommitId(commit.repo, commit.id) for _, commit in found}
        self._sources = {key: value for key, value in self._sources.items() if key in open_now}
        seen: dict[CommitId, Commit] = {CommitId(commit.repo, commit.id): commit for _, commit in found}
        complete = (self._with_inputs(branch, commit, seen) for branch, commit in found)
        result = tuple(one for one in complete if one is not None)
        # What no open commit is made from is not asked for again.
        needed = {CommitId(i.repo, i.id) for one in result for i in one.inputs}
        self._closed = {key: commit for key, commit in self._closed.items() if key in needed}
        return result

    def _unfinished(self, branch: BranchName) -> list[Commit]:
        """The open and finishing commits of a branch, oldest first."""
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
        """From the head back to the first good commit or the floor, that one included."""
        number, given = _FIRST_PAGE, 0
        while True:
            # A page starts at the head again: the server has no cursor. The head may have moved since; then the next
            # look sees what is new.
            page = list(history(self._client, branch, number))
            for commit in page[given:]:
                yield commit
                if commit.state == "good" or commit.id == self._floors.get(branch):
                    return
            if len(page) < number:
                return
            given, number = len(page), number * _PAGE_GROWTH

    def _with_inputs(self, branch: BranchName, commit: Commit, seen: dict[CommitId, Commit]) -> OpenCommit | None:
        key = CommitId(commit.repo, commit.id)
        try:
            inputs = [self._input(one, seen) for one in commit.provenance]
            if key not in self._sources:
                self._sources[key] = self._source(commit)
        except RequestError:
            # Dropped between the two requests; the next look sees what became of it.
            return None
        source, pinned = self._sources[key]
        states = tuple(InputCommit(one.repo, one.id, one.state, one.error) for one in inputs)
        return OpenCommit(branch, commit, states, source, pinned)

    def _input(self, key: CommitId, seen: dict[CommitId, Commit]) -> Commit:
        if key in seen:
            return seen[key]
        if key in self._closed:
            return self._closed[key]
        commit = seen[key] = inspect(self._client, key.repo, key.id)
        if commit.state in _CLOSED and commit.ended:
            self._closed[key] = commit
        return commit

    def _source(self, commit: Commit) -> tuple[CommitId | None, bool]:
        """The input commit that a commit goes back to, and whether hyperparameters were given for the set there."""
        # Read afresh: a set's hyperparameters are written on an input commit that may be much older.
        source = data_source(self._client, commit)
        if source is None:
            return None, False
        return CommitId(source.repo, source.id), f"hyperparameters.{commit.id}" in source.metadata


def give_back_claims_of(client: Connection, run: str, why: str) -> tuple[CommitId, ...]:
    """End every claim that a run which is over still has on open commits.

    Returns:
        the commits.
    """
    given = []
    for one in OpenCommits(client).look():
        claim = live_claim(one.commit.metadata)
        if claim is not None and claim.holder == run and give_back(client, one.commit, claim.number, why):
            given.append(CommitId(one.commit.repo, one.commit.id))
    return tuple(given)
