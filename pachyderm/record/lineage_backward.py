"""The walk from a commit or a file back to the data, code, parameters and run that made it."""

from __future__ import annotations

from dataclasses import dataclass

from pachyderm.client.commits import Commit
from pachyderm.client.connection import Connection
from pachyderm.client.files import REPORT
from pachyderm.dag.repos import stage_of
from pachyderm.errors import RequestError
from pachyderm.record.lineage_facts import OUTPUT_REPOS, add_run, commit_facts, dropped_node, file_facts
from pachyderm.record.lineage_graph import Graph, GraphBuilder, LineageNode, Relation, commit_node_id, file_node_id
from pachyderm.record.record_cache import RecordCache
from pachyderm.record.stage_record import OutputFile


def backward(client: Connection, commit: Commit, path: str | None = None, kubeflow: str | None = None) -> Graph:
    """Walk back from a commit, or from one of its files.

    Only the commits on the way are read, so the cost does not depend on the length of the history.

    Args:
        client: the connection.
        commit: where to begin.
        path: path of a file in it; None for the whole commit.
        kubeflow: URL of the Kubeflow Pipelines UI, for links to runs.

    Raises:
        RequestError: the commit has no such file.
    """
    walk = _BackwardWalk(RecordCache(client), kubeflow)
    if path is not None and walk.cache.entry(commit.repo, commit.id, path) is None:
        raise RequestError(f"{commit} has no file {path}; `pix2pix ls {commit}` lists its files")
    return walk.run(_Target(commit.repo, commit.id, path))


@dataclass(frozen=True)
class _Target:
    """A commit, or a file of it, that the walk has to visit."""

    repo: str
    commit_id: str
    path: str | None = None

    @property
    def node_id(self) -> str:
        if self.path is None:
            return commit_node_id(self.repo, self.commit_id)
        return file_node_id(self.repo, self.commit_id, self.path)


_Sources = list[tuple[_Target, Relation]]


class _BackwardWalk:
    """A depth-first walk with its own stack: a chain of reuses may be longer than Python's recursion limit."""

    def __init__(self, cache: RecordCache, kubeflow: str | None) -> None:
        self.cache = cache
        self._builder = GraphBuilder()
        self._kubeflow = kubeflow

    def run(self, start: _Target) -> Graph:
        pending = [start]
        if start.path is None:
            pending = [*reversed(self._computing_commits(start)), start]
        while pending:
            target = pending.pop()
            if target.node_id in self._builder.nodes:
                continue
            sources = self._visit(target)
            for source, relation in sources:
                self._builder.join(target.node_id, source.node_id, relation)
            pending.extend(source for source, _ in reversed(sources))
        return self._builder.graph(start.node_id)

    def _computing_commits(self, start: _Target) -> list[_Target]:
        """Return the other commits that computed files of the start commit, joined to it."""
        commit = self.cache.commit(start.repo, start.commit_id)
        record = self.cache.record(commit) if commit is not None else None
        origins = dict.fromkeys(file.computed_in for file in record.files.values()) if record else {}
        targets = [_Target(start.repo, origin) for origin in origins if origin != start.commit_id]
        for target in targets:
            self._builder.join(start.node_id, target.node_id, "copied from")
        return targets

    def _visit(self, target: _Target) -> _Sources:
        """Add the node of a target; return its sources."""
        commit = self.cache.commit(target.repo, target.commit_id)
        if commit is None:
            self._builder.add(dropped_node(target.repo, target.commit_id, target.path))
            return []
        return self._visit_commit(commit) if target.path is None else self._visit_file(commit, target.path)

    def _visit_commit(self, commit: Commit) -> _Sources:
        self._builder.add(LineageNode(str(commit), "commit", commit_facts(self.cache, commit)))
        sources: _Sources = [(_Target(source.repo, source.id), "made from") for source in commit.provenance]
        record = self.cache.record(commit) if commit.repo in OUTPUT_REPOS else None
        if record is not None:
            add_run(self._builder, commit, record, self._kubeflow)
            if record.reused_from:
                sources.append((_Target(commit.repo, record.reused_from), "reused from"))
            if record.parent:
                sources.append((_Target(commit.repo, record.parent), "begun with"))
        return sources

    def _visit_file(self, commit: Commit, path: str) -> _Sources:
        record = self.cache.record(commit) if commit.repo in OUTPUT_REPOS else None
        file = record.files.get(path) if record else None
        node_id = file_node_id(commit.repo, commit.id, path)
        self._builder.add(LineageNode(node_id, "file", file_facts(self.cache, commit, path, file)))
        sources: _Sources = [(_Target(commit.repo, commit.id), "held by")]
        if file is None or path.startswith(REPORT):
            return sources
        datums = stage_of(commit.repo).inputs[0].repo
        input_id = next((source.id for source in commit.provenance if source.repo == datums), None)
        if file.source is not None and input_id is not None:
            sources.append((_Target(datums, input_id, file.source), "made from"))
        if file.computed_in != commit.id:
            sources.append((self._computed_file(commit.repo, path, file), "copied from"))
        return sources

    def _computed_file(self, repo: str, path: str, file: OutputFile) -> _Target:
        """Return the file in the commit whose run computed it, where it may have another name."""
        commit = self.cache.commit(repo, file.computed_in)
        record = self.cache.record(commit) if commit is not None else None
        candidates = record.files if record is not None else {}
        same = [name for name, candidate in candidates.items() if candidate.sha256 == file.sha256]
        return _Target(repo, file.computed_in, path if path in same or not same else same[0])
