"""Walks from a commit or a file back to the data, code, parameters and run that made it.

It exists because a record that nobody can walk is none. It asks for the commits on the way alone, never for a list of
all, so a picture's lineage costs the same in a history of ten commits and of a million.
"""

from __future__ import annotations

from collections import Counter

from pachyderm.client.commits import Commit
from pachyderm.client.connection import Connection
from pachyderm.client.files import REPORT
from pachyderm.dag.repos import stage_of
from pachyderm.errors import RequestError
from pachyderm.record.archive import Archive
from pachyderm.record.lineage_facts import OUTPUT_REPOS, add_run, commit_facts, file_facts, gone
from pachyderm.record.lineage_graph import Drawing, Graph, LineageNode, file_id
from pachyderm.record.stage_record import OutputFile


def backward(client: Connection, commit: Commit, path: str | None = None, kubeflow: str | None = None) -> Graph:
    """Walk back from a commit, or from one of its files.

    Args:
        client: the connection.
        commit: where to begin.
        path: of a file of it; None for the commit as a whole.
        kubeflow: address of Kubeflow Pipelines' page, for links to runs.

    Raises:
        RequestError: the commit has no such file.
    """
    walk = _Walk(Archive(client), kubeflow)
    if path is None:
        return walk.drawing.graph(walk.whole(commit))
    if walk.archive.entry(commit.repo, commit.id, path) is None:
        raise RequestError(f"{commit} has no file {path}; pix2pix ls {commit} lists what it has")
    return walk.drawing.graph(walk.file(commit.repo, commit.id, path))


class _Walk:
    def __init__(self, archive: Archive, kubeflow: str | None) -> None:
        self.archive = archive
        self.drawing = Drawing()
        self._kubeflow = kubeflow

    def whole(self, commit: Commit) -> str:
        """A commit with the commits that computed its files."""
        name = self.commit(commit.repo, commit.id)
        record = self.archive.record(commit)
        computed = Counter(one.computed_in for one in record.files.values()) if record else Counter()
        for other in computed:
            if other != commit.id:
                self.drawing.join(name, self.commit(commit.repo, other), "copied from")
        return name

    def commit(self, repo: str, commit_id: str) -> str:
        """A commit, everything that it is made from, and the run that filled it; the node's id."""
        name = f"{repo}@{commit_id}"
        if name in self.drawing.nodes:
            return name
        commit = self.archive.commit(repo, commit_id)
        if commit is None:
            self.drawing.add(gone(repo, commit_id))
            return name
        self.drawing.add(LineageNode(name, "commit", commit_facts(self.archive, commit)))
        for above in commit.provenance:
            self.drawing.join(name, self.commit(above.repo, above.id), "made from")
        record = self.archive.record(commit) if repo in OUTPUT_REPOS else None
        if record is not None:
            add_run(self.drawing, commit, record, self._kubeflow)
            if record.reused_from:
                self.drawing.join(name, self.commit(repo, record.reused_from), "reused from")
        return name

    def file(self, repo: str, commit_id: str, path: str) -> str:
        """A file, its commit, the file it was made from, and where its bytes were computed; the node's id."""
        name = file_id(repo, commit_id, path)
        if name in self.drawing.nodes:
            return name
        commit = self.archive.commit(repo, commit_id)
        if commit is None:
            self.drawing.add(gone(repo, commit_id, path))
            return name
        record = self.archive.record(commit) if repo in OUTPUT_REPOS else None
        told = record.files.get(path) if record else None
        self.drawing.add(LineageNode(name, "file", file_facts(self.archive, commit, path, told)))
        self.drawing.join(name, self.commit(repo, commit_id), "held by")
        if told is None or path.startswith(REPORT):
            return name
        above = next((one.id for one in commit.provenance if one.repo == stage_of(repo).inputs[0].repo), None)
        if told.source is not None and above is not None:
            self.drawing.join(name, self.file(stage_of(repo).inputs[0].repo, above, told.source), "made from")
        if told.computed_in != commit_id:
            self.drawing.join(name, self._computed(repo, path, told), "copied from")
        return name

    def _computed(self, repo: str, path: str, told: OutputFile) -> str:
        """The file as it was in the commit whose run computed it, where it may have had another name."""
        commit = self.archive.commit(repo, told.computed_in)
        record = self.archive.record(commit) if commit is not None else None
        files = record.files if record is not None else {}
        same = [where for where, one in files.items() if one.sha256 == told.sha256]
        return self.file(repo, told.computed_in, path if path in same or not same else same[0])
