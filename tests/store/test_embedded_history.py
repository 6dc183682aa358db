"""Random histories, compared at every step with a model of a few dicts.

The model covers repos, branches with provenance, commits, file changes, transactions, head moves, drops and squashes.
It takes commit ids from the store and predicts everything else.
"""

from __future__ import annotations

import shutil
import tempfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import grpc
import pytest
from embedded_store import store
from hypothesis import HealthCheck, Phase, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, rule, run_state_machine_as_test
from pachyderm_sdk.api import pfs
from server_under_test import Pachd, happened

from pachyderm.store.maintenance.fsck import check

pytestmark = pytest.mark.embedded

DAG = {"a": [], "b": ["a"], "c": [], "d": ["b", "c"]}
"""Repos and the provenance of their master branches."""
PATHS = ("/x", "/y", "/dir/x", "/dir/sub/y", "/z.png")
BODIES = (b"", b"1", b"22", b"3" * 70_000)
BODY = st.integers(0, len(BODIES) - 1)


@dataclass(eq=False, repr=False)
class Commit:
    """A commit of the model."""

    repo: str
    set_id: str
    number: int
    parent: Commit | None
    provenance: list[Commit]
    layers: list[dict[str, bytes | None]] = field(default_factory=list)
    finishing: bool = False
    finished: bool = False
    error: str = ""
    frozen: dict[str, bytes] | None = None

    def __repr__(self) -> str:
        return f"{self.repo}@{self.number}"

    def base(self) -> Commit | None:
        ancestor = self.parent
        while ancestor is not None and ancestor.error:
            ancestor = ancestor.parent
        return ancestor

    def ready(self) -> bool:
        base = self.base()
        return base is None or base.finished

    def files(self) -> dict[str, bytes]:
        if self.frozen is not None:
            return self.frozen
        base = self.base()
        found = dict(base.files()) if base else {}
        for layer in self.layers:
            for path, data in layer.items():
                if data is None:
                    found.pop(path, None)
                else:
                    found[path] = data
        return found


class History(RuleBasedStateMachine):
    """Drives the store and the model side by side."""

    every = 25

    @initialize()
    def begin(self) -> None:
        self.folder = Path(tempfile.mkdtemp())
        self.serving = store(self.folder)
        self.pachd: Pachd = self.serving.__enter__()
        self.repos = {name: self.pachd.repo(name) for name in DAG}
        self.branches = {name: pfs.Branch(repo=repo, name="master") for name, repo in self.repos.items()}
        self.heads: dict[str, Commit] = {}
        self.commits: list[Commit] = []
        self.steps = 0
        self.numbers = 0
        for name, upstream in DAG.items():
            self.pachd.branch(self.repos[name], on=[self.branches[up] for up in upstream])
            commit = self.made(name, self.pachd.head(self.branches[name]).id)
            commit.finishing = commit.finished = not upstream

    def made(self, repo: str, set_id: str, parent: Commit | None = None) -> Commit:
        self.numbers += 1
        commit = Commit(repo, set_id, self.numbers, parent, [self.heads[up] for up in DAG[repo]])
        self.commits.append(commit)
        self.heads[repo] = commit
        return commit

    def propagate(self, moved: set[str], set_id: str) -> None:
        for repo, upstream in DAG.items():
            if moved & set(upstream):
                if self.heads[repo].set_id != set_id:
                    self.made(repo, set_id, self.heads[repo])
                moved.add(repo)

    def settle(self) -> None:
        for commit in self.commits:
            if commit.finishing and not commit.finished and (commit.error or commit.ready()):
                commit.finished = True

    def message(self, commit: Commit) -> pfs.Commit:
        return pfs.Commit(repo=self.repos[commit.repo], id=commit.set_id)

    def children(self, commit: Commit) -> list[Commit]:
        return [other for other in self.commits if other.parent is commit]

    @contextmanager
    def maybe(self, allowed: bool) -> Iterator[None]:
        """Assert that the store accepts what the model allows, and refuses everything else."""
        try:
            yield
        except grpc.RpcError as error:
            assert not allowed, error.details()
            assert error.code() is not grpc.StatusCode.INTERNAL, error.details()
        else:
            assert allowed

    def pick(self, data: Any, commits: list[Commit]) -> Commit | None:
        return data.draw(st.sampled_from(commits)) if commits else None

    @rule(data=st.data(), repo=st.sampled_from(sorted(DAG)))
    def start(self, data: Any, repo: str) -> None:
        head = self.heads[repo]
        allowed = head.finishing and not DAG[repo]
        with self.maybe(allowed):
            set_id = self.pachd.start(self.branches[repo]).id
            self.made(repo, set_id, head)
            self.propagate({repo}, set_id)

    @rule(data=st.data())
    def start_two_in_one_transaction(self, data: Any) -> None:
        inputs = [repo for repo in DAG if not DAG[repo]]
        if not all(self.heads[repo].finishing for repo in inputs):
            return
        client = self.pachd.connect()
        with client.transaction.transaction() as transaction:
            for repo in inputs:
                client.pfs.start_commit(branch=self.branches[repo])
        for repo in inputs:
            self.made(repo, transaction.id, self.heads[repo])
        self.propagate(set(inputs), transaction.id)

    @rule(
        data=st.data(),
        changes=st.dictionaries(st.sampled_from(PATHS), st.none() | BODY, min_size=1, max_size=4),
        as_file_set=st.booleans(),
    )
    def write(self, data: Any, changes: dict[str, int | None], as_file_set: bool) -> None:
        commit = self.pick(data, [member for member in self.commits if not member.finishing] or self.commits)
        if commit is None:
            return
        parts: list[Any] = []
        bodies = {path: None if number is None else BODIES[number] for path, number in changes.items()}
        for path, body in bodies.items():
            parts.append(pfs.ModifyFileRequest(delete_file=pfs.DeleteFile(path=path)))
            if body is not None:
                parts.append(pfs.ModifyFileRequest(add_file=pfs.AddFile(path=path, raw=body)))
        target = self.message(commit)
        with self.maybe(not commit.finishing):
            if as_file_set:
                name = self.pachd.client.pfs.create_file_set(iter(parts)).file_set_id
                self.pachd.client.pfs.add_file_set(commit=target, file_set_id=name)
            else:
                self.pachd.client.pfs.modify_file(iter([pfs.ModifyFileRequest(set_commit=target), *parts]))
            commit.layers.append(bodies)

    @rule(data=st.data(), repo=st.sampled_from(["a", "c"]), path=st.sampled_from(PATHS), number=BODY)
    def put_on_a_branch(self, data: Any, repo: str, path: str, number: int) -> None:
        head, body = self.heads[repo], BODIES[number]
        self.pachd.put(self.branches[repo], {path: body})
        if not head.finishing:
            head.layers.append({path: body})
            return
        commit = self.made(repo, self.pachd.head(self.branches[repo]).id, head)
        commit.layers.append({path: body})
        self.propagate({repo}, commit.set_id)
        commit.finishing = True
        self.settle()

    @rule(data=st.data(), error=st.sampled_from(["", "", "", "failed: by the model"]))
    def finish(self, data: Any, error: str) -> None:
        commit = self.pick(data, [member for member in self.commits if not member.finishing] or self.commits)
        if commit is None:
            return
        with self.maybe(not commit.finishing):
            self.pachd.client.pfs.finish_commit(commit=self.message(commit), error=error)
            commit.finishing, commit.error = True, error
            self.settle()

    @rule(data=st.data())
    def clear(self, data: Any) -> None:
        commit = self.pick(data, self.commits)
        if commit is None:
            return
        with self.maybe(not commit.finishing):
            self.pachd.client.pfs.clear_commit(commit=self.message(commit))
            commit.layers.clear()

    @rule(data=st.data(), repo=st.sampled_from(sorted(DAG)))
    def move_head(self, data: Any, repo: str) -> None:
        target = self.pick(data, [commit for commit in self.commits if commit.repo == repo])
        if target is None:
            return
        client = self.pachd.connect()
        with client.transaction.transaction() as transaction:
            client.pfs.create_branch(
                branch=self.branches[repo],
                head=self.message(target),
                provenance=[self.branches[up] for up in DAG[repo]],
            )
        self.heads[repo] = target
        self.propagate({repo}, transaction.id)

    @rule(data=st.data())
    def drop(self, data: Any) -> None:
        commit = self.pick(data, self.commits)
        if commit is None or commit.parent is None:
            return
        doomed = self.with_subvenance(commit)
        if any(member.parent is None for member in doomed):
            return
        with self.maybe(not any(self.children(member) for member in doomed)):
            self.pachd.client.pfs.drop_commit(commit=self.message(commit), recursive=True)
            self.remove(doomed)

    @rule(data=st.data())
    def squash(self, data: Any) -> None:
        commit = self.pick(data, [member for member in self.commits if self.children(member)])
        if commit is None:
            return
        doomed = self.with_subvenance(commit)
        if any(member.parent is None for member in doomed):
            return
        allowed = all(
            self.children(member) and all(child.finished for child in self.children(member)) for member in doomed
        )
        with self.maybe(allowed):
            self.pachd.client.pfs.squash_commit(commit=self.message(commit), recursive=True)
            for member in doomed:
                for child in self.children(member):
                    if child.ready() or not child.error:
                        child.frozen = child.files()
                    elif not member.error:
                        child.layers = member.layers + child.layers
            self.remove(doomed)

    def with_subvenance(self, commit: Commit) -> list[Commit]:
        doomed = [commit]
        for member in doomed:
            doomed += [other for other in self.commits if member in other.provenance and other not in doomed]
        return sorted(doomed, key=lambda member: member.number)

    def remove(self, doomed: list[Commit]) -> None:
        for member in doomed:
            for child in self.children(member):
                child.parent = member.parent
            for repo, head in self.heads.items():
                if head is member and member.parent is not None:
                    self.heads[repo] = member.parent
            self.commits.remove(member)
        for commit in self.commits:
            commit.provenance = [up for up in commit.provenance if up not in doomed]

    @rule()
    def reopen(self) -> None:
        self.serving.__exit__(None, None, None)
        self.serving = store(self.folder)
        suffix = self.pachd.suffix
        self.pachd = self.serving.__enter__()
        self.pachd.suffix = suffix

    @invariant()
    def the_store_shows_what_the_model_predicts(self) -> None:
        if not hasattr(self, "pachd"):
            return
        self.steps += 1
        for repo, branch in self.branches.items():
            assert self.pachd.head(branch).id == self.heads[repo].set_id
            model = {commit.set_id: commit for commit in self.commits if commit.repo == repo}
            infos = list(self.pachd.client.pfs.list_commit(repo=self.repos[repo]))
            assert [info.commit.id for info in infos] == [
                commit.set_id for commit in sorted(model.values(), key=lambda member: -member.number)
            ]
            for info in infos:
                self.compare(info, model[info.commit.id])
        if self.steps % self.every == 0:
            self.look_closely()

    def compare(self, info: Any, commit: Commit) -> None:
        assert happened(info.finishing) == commit.finishing
        assert happened(info.finished) == commit.finished
        assert info.error == commit.error
        assert info.parent_commit.id == (commit.parent.set_id if commit.parent else "")
        assert {(up.repo.name, up.id) for up in info.direct_provenance} == {
            (self.repos[up.repo].name, up.set_id) for up in commit.provenance
        }

    def look_closely(self) -> None:
        for commit in self.commits:
            if commit.finishing and not commit.finished:
                continue
            with self.maybe(commit.frozen is not None or (commit.finished and not commit.error) or commit.ready()):
                assert self.pachd.files(self.message(commit)) == commit.files()
        assert check(self.folder / "data") == []

    def teardown(self) -> None:
        if hasattr(self, "pachd"):
            try:
                self.look_closely()
            finally:
                self.serving.__exit__(None, None, None)
                shutil.rmtree(self.folder)


def run(examples: int, steps: int) -> None:
    run_state_machine_as_test(
        History,
        settings=settings(
            max_examples=examples,
            stateful_step_count=steps,
            deadline=None,
            suppress_health_check=list(HealthCheck),
            database=None,
            print_blob=True,
            phases=[Phase.generate],
        ),
    )


def test_120_random_steps_do_what_the_model_predicts() -> None:
    run(6, 20)


@pytest.mark.long
@pytest.mark.timeout(7200)
def test_10_000_random_steps_do_what_the_model_predicts(volume: Callable[[int, int], int]) -> None:
    run(volume(100, 5), 100)
