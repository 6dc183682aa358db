"""An in-memory Pachyderm with the calls that the trigger uses.

It opens output commits by branch provenance as pachd does, and fails the test on what would lock pachd: a
good finish while something older on the branch is open, or while an input is.
"""

from __future__ import annotations

import itertools
import random
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from types import SimpleNamespace
from typing import Any

import grpc
from pachyderm_sdk.api import pfs

from pachyderm.client.branches import BranchName
from pachyderm.client.connection import Connection
from pachyderm.dag.repos import GENERATE_IMAGES, INPUT_IMAGES, INPUTS, MODEL, PROVENANCE
from pachyderm.protocol.protobuf import message

Key = tuple[str, str]


class FakeRpcError(grpc.RpcError):
    def __init__(self, code: grpc.StatusCode, details: str) -> None:
        super().__init__(details)
        self._code, self._details = code, details

    def code(self) -> grpc.StatusCode:
        return self._code

    def details(self) -> str:
        return self._details


@dataclass
class Row:
    repo: str
    id: str
    parent: Key | None
    number: int
    provenance: tuple[Key, ...] = ()
    finishing: bool = False
    finished: bool = False
    error: str = ""
    metadata: dict[str, str] = field(default_factory=dict)
    effects: int = 0

    @property
    def key(self) -> Key:
        return self.repo, self.id

    @property
    def open(self) -> bool:
        return not self.finishing


class FakePachyderm(Connection):
    """A connection to itself, with only what the trigger and a stage use."""

    def __init__(self, now: Callable[[], float]) -> None:
        self._now = now
        self.project = "default"
        self.rows: dict[Key, Row] = {}
        self.sets: dict[str, list[Row]] = {}
        self.heads: dict[BranchName, Key] = {}
        self.ids = (f"{number:012x}4{0:019x}" for number in itertools.count(1))
        self.numbers = itertools.count(1)
        self.asked: list[int] = []
        self._pfs = SimpleNamespace(
            finish_commit=self._finish,
            create_branch=self._move,
        )
        self.order = random.Random(0)
        """Decides the order in which provenance is listed; a real server guarantees none."""
        self._moves: list[BranchName] = []
        for branch in (*INPUTS, MODEL, *PROVENANCE):
            row = self._add(branch, next(self.ids), tuple(self.heads[p] for p in PROVENANCE.get(branch, ())))
            row.finishing = row.finished = True

    @property
    def pfs(self) -> Any:
        return self._pfs

    @property
    def channel(self) -> Any:
        """Answers what `pachyderm.client.rpc` asks; the SDK's own messages would take most of a test's time."""
        answers = {"InspectCommit": self._inspect, "ListCommit": self._list, "GetFile": self._no_file}

        def unary(path: str, response_deserializer: Any, **_: object) -> Any:
            return lambda request: response_deserializer(answers[path.rpartition("/")[2]](request))

        def stream(path: str, response_deserializer: Any, **_: object) -> Any:
            return lambda request: map(response_deserializer, answers[path.rpartition("/")[2]](request))

        return SimpleNamespace(unary_unary=unary, unary_stream=stream)

    @property
    def transaction(self) -> Any:
        return SimpleNamespace(transaction=self._transaction)

    @contextmanager
    def _transaction(self) -> Iterator[Any]:
        set_id = next(self.ids)
        yield SimpleNamespace(id=set_id)
        self.put(*self._moves, move_only=True, set_id=set_id)
        self._moves.clear()

    def _move(self, *, branch: pfs.Branch, head: pfs.Commit, provenance: object = None) -> None:
        assert not head.id, "a head is moved onto itself by name"
        self._moves.append(BranchName(branch.repo.name, branch.name))

    def _add(self, branch: BranchName, set_id: str, provenance: tuple[Key, ...]) -> Row:
        row = Row(branch.repo, set_id, self.heads.get(branch), next(self.numbers), provenance)
        self.rows[row.key] = row
        self.sets.setdefault(set_id, []).append(row)
        self.heads[branch] = row.key
        return row

    # Actions of people.
    def commit(self, *args: Any) -> Any:
        """A commit's name, as `Connection.commit`; the name is the SDK's."""
        return super().commit(*args)

    def put(self, *branches: BranchName, move_only: bool = False, own: bool = False, set_id: str = "") -> str:
        """Commit to input branches in one transaction, or move their heads onto themselves; return the set's id."""
        set_id, moved = set_id or next(self.ids), set(branches)
        for branch in branches:
            if not move_only and branch in INPUTS:
                row = self._add(branch, set_id, ())
                row.finishing = row.finished = True
            if own:
                self.rows[self.heads[branch]].metadata[f"hyperparameters.{set_id}"] = "{}"
        for branch, sources in PROVENANCE.items():
            if moved & set(sources):
                self._add(branch, set_id, tuple(self.heads[source] for source in sources))
                moved.add(branch)
        return set_id

    def promote(self, model: Key) -> str:
        """Move `model@master`; return the commit set that this opens."""
        self.heads[MODEL] = model
        set_id = next(self.ids)
        self._add(GENERATE_IMAGES, set_id, tuple(self.heads[source] for source in PROVENANCE[GENERATE_IMAGES]))
        return set_id

    def drop(self, set_id: str) -> bool:
        """Drop a commit set; return False if another is made from it or follows it."""
        rows = self.sets.get(set_id, [])
        others = [row for row in self.rows.values() if row.id != set_id]
        keys = {row.key for row in rows}
        if any(row.parent in keys or keys & set(row.provenance) for row in others) or any(
            row.parent is None for row in rows
        ):
            return False
        for branch, head in self.heads.items():
            if head in keys:
                if branch == MODEL:
                    return False
                parent = self.rows[head].parent
                assert parent is not None
                self.heads[branch] = parent
        for key in keys:
            del self.rows[key]
        del self.sets[set_id]
        return True

    def check(self) -> None:
        """Finish the finishing commits, as the server's own loop does."""
        for row in self.rows.values():
            row.finished = row.finished or row.finishing

    def chain(self, branch: BranchName) -> Iterator[Row]:
        """Yield a branch from its head backwards."""
        key: Key | None = self.heads[branch]
        while key is not None:
            yield self.rows[key]
            key = self.rows[key].parent

    def older_than(self, row: Row) -> Iterator[Row]:
        """Yield the ancestors along the parents."""
        while row.parent is not None:
            row = self.rows[row.parent]
            yield row

    def newest_set(self, branch: BranchName) -> Row:
        return next(self.chain(branch))

    # Methods of the SDK.
    def edit_keys(
        self, repo: str, commit_id: str, *, add: dict[str, str] | None = None, put: dict[str, str] | None = None
    ) -> None:
        row = self._row(repo, commit_id)
        if any(key in row.metadata for key in add or {}):
            raise FakeRpcError(grpc.StatusCode.FAILED_PRECONDITION, "already exists; use edit_key instead")
        row.metadata.update({**(add or {}), **(put or {})})

    def _row(self, repo: str, commit_id: str) -> Row:
        if (repo, commit_id) not in self.rows:
            raise FakeRpcError(grpc.StatusCode.NOT_FOUND, f"commit {repo}@{commit_id} not found")
        return self.rows[repo, commit_id]

    def _resolve(self, commit: Any) -> Row:
        if commit.id:
            return self._row(commit.repo.name, commit.id)
        return self.rows[self.heads[BranchName(commit.repo.name, commit.branch.name)]]

    def _info(self, row: Row) -> bytes:
        """Return the message about a commit, serialized."""

        def name(key: Key) -> dict[str, object]:
            return {"repo": {"name": key[0]}, "id": key[1]}

        # Only those of the commit set; pachd lists those of other commit sets, too.
        results = [other.key for other in self.sets[row.id] if row.key in other.provenance]
        sources = list(row.provenance)
        self.order.shuffle(sources)
        self.order.shuffle(results)
        when = {"seconds": row.number}
        info = message(
            "CommitInfo",
            commit=name(row.key),
            started=when,
            error=row.error,
            origin={"kind": pfs.OriginKind.AUTO.value},
            metadata=[{"key": key, "value": value} for key, value in row.metadata.items()],
            direct_provenance=map(name, sources),
            direct_subvenance=map(name, results),
            parent_commit=name(row.parent) if row.parent else None,
            finishing=when if row.finishing else None,
            finished=when if row.finished else None,
        )
        return bytes(info.SerializeToString())

    def _inspect(self, request: Any) -> bytes:
        return self._info(self._resolve(request.commit))

    def _list(self, request: Any) -> Iterator[bytes]:
        self.asked.append(request.number)
        row = self._resolve(request.to)
        rows = itertools.chain([row], self.older_than(row))
        return iter([self._info(other) for other in itertools.islice(rows, request.number or None)])

    def _finish(self, *, commit: pfs.Commit, error: str = "", force: bool = False) -> None:
        row = self._resolve(commit)
        if not row.open:
            raise FakeRpcError(grpc.StatusCode.UNKNOWN, "commit has already finished")
        if not error:
            for older in self.older_than(row):
                assert older.finished, f"{row.key} is finished before the older {older.key}: the repo is locked up"
                if not older.error:
                    break
            for key in row.provenance:
                assert self.rows[key].finished, f"{row.key} is finished before its input {key}"
            row.effects += 1
        row.finishing, row.error = True, error
        row.finished = bool(error)

    def _no_file(self, _: object) -> Iterator[Any]:
        raise FakeRpcError(grpc.StatusCode.NOT_FOUND, "file not found")


__all__ = ["INPUT_IMAGES", "FakePachyderm", "FakeRpcError", "Row"]
