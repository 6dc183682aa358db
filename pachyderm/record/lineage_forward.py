"""Walks from an input picture or a commit forward to everything that was made with it.

It exists because "which results did this picture, this training commit, shape?" is asked when one was a mistake.
Results that were copied from earlier ones count: the records of all later commits are read, one request each.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable

from pachyderm.client.commits import Commit, all_commits
from pachyderm.client.connection import Connection
from pachyderm.client.files import PARAMETERS_FILE, REPORT
from pachyderm.dag.repos import INPUT_IMAGES, PROVENANCE, STAGES, stage_of
from pachyderm.errors import RequestError
from pachyderm.record.archive import Archive
from pachyderm.record.lineage_facts import INPUT_REPOS, add_run, commit_facts, file_facts
from pachyderm.record.lineage_graph import Drawing, Graph, LineageNode, Relation, file_id
from pachyderm.record.stage_record import StageRecord

WalkProgress = Callable[[int, int, str], None]

PER_FILE = frozenset(stage.output.repo for stage in STAGES if stage.per_file)
"""Repos each of whose files is made from one file; in the others every file is made from all."""


def forward(
    client: Connection,
    commit: Commit,
    path: str | None = None,
    kubeflow: str | None = None,
    progress: WalkProgress | None = None,
) -> Graph:
    """Walk forward from a commit, or from one of its files.

    A file is followed by its content: later commits that hold the same bytes count, under whichever name.

    Args:
        client: the connection.
        commit: where to begin.
        path: of a file of it; None for the commit as a whole.
        kubeflow: address of Kubeflow Pipelines' page, for links to runs.
        progress: called after each commit that was read.

    Raises:
        RequestError: the commit has no such file.
    """
    walk = _Walk(Archive(client), kubeflow)
    start = walk.add(commit)
    if path is not None:
        start = walk.begin_with_file(commit, path)
    else:
        walk.reached.add(start)
    repos = list(dict.fromkeys(name.repo for name in PROVENANCE))
    if commit.repo in repos:
        repos = repos[repos.index(commit.repo) :]
    later = {commit.repo: _behind(client, commit)}
    for repo in repos:
        if repo != commit.repo:
            later[repo] = _made_after(client, repo, [one for found in later.values() for one in found])
    total = sum(len(later[repo]) for repo in repos)
    done = 0
    for repo in repos:
        for one in later[repo]:
            walk.look_at(one)
            done += 1
            if progress:
                progress(done, total, repo)
    return walk.drawing.graph(start)


def _behind(client: Connection, start: Commit) -> list[Commit]:
    """A commit and those behind it in its repo, oldest first: in the server's order, for clocks are set back."""
    found = []
    for one in all_commits(client, start.repo):
        found.append(one)
        if one.id == start.id:
            break
    return found[::-1]


def _made_after(client: Connection, repo: str, sources: Iterable[Commit]) -> list[Commit]:
    """The commits of a repo from the first that is made from one of the sources, oldest first.

    Those behind it may be made from older sources, after a revert, and still hold files that it computed.
    """
    names = {str(one) for one in sources}
    found = list(all_commits(client, repo))[::-1]
    made = (number for number, one in enumerate(found) if any(str(above) in names for above in one.provenance))
    return found[next(made, len(found)) :]


class _Walk:
    """What is reached: commits by name, and contents by the repo that holds them."""

    def __init__(self, archive: Archive, kubeflow: str | None) -> None:
        self.archive = archive
        self.drawing = Drawing()
        self.reached: set[str] = set()
        self._kubeflow = kubeflow
        self._contents: dict[str, dict[str, str]] = {}
        self._hashes: dict[str, str] = {}

    def add(self, commit: Commit) -> str:
        name = str(commit)
        if self.drawing.add(LineageNode(name, "commit", commit_facts(self.archive, commit))):
            self.archive.know([commit])
            record = self.archive.record(commit) if commit.repo not in INPUT_REPOS else None
            if record is not None:
                add_run(self.drawing, commit, record, self._kubeflow)
        return name

    def begin_with_file(self, commit: Commit, path: str) -> str:
        entry = self.archive.entry(commit.repo, commit.id, path)
        if entry is None:
            raise RequestError(f"{commit} has no file {path}; pix2pix ls {commit} lists what it has")
        record = self.archive.record(commit) if commit.repo not in INPUT_REPOS else None
        told = record.files.get(path) if record else None
        start = file_id(commit.repo, commit.id, path)
        self.drawing.add(LineageNode(start, "file", file_facts(self.archive, commit, path, told)))
        self.drawing.join(start, str(commit), "held by")
        self._contents.setdefault(commit.repo, {})[entry.hash] = start
        if commit.repo not in (INPUT_IMAGES.repo, *PER_FILE) or path.startswith(REPORT) or path == PARAMETERS_FILE:
            # Every file of these shapes all results.
            self.reached.add(str(commit))
            self._later_holders(commit, path, entry.hash)
        return start

    def _later_holders(self, commit: Commit, path: str, content: str) -> None:
        """Later commits of an input repo that hold the same file still."""
        if commit.repo not in INPUT_REPOS:
            return
        for one in _behind(self.archive.client, commit):
            entry = self.archive.entry(one.repo, one.id, path)
            if one.id != commit.id and entry is not None and entry.hash == content:
                self.reached.add(self.add(one))
                self.drawing.join(str(one), str(commit), "copied from")

    def look_at(self, commit: Commit) -> None:
        """Whether a commit, or files of it, was made with what is reached; sources come before results."""
        above = [str(one) for one in commit.provenance if str(one) in self.reached]
        contents = self._contents.get(stage_of(commit.repo).inputs[0].repo, {}) if commit.repo in PER_FILE else {}
        if above:
            name = self.add(commit)
            self.reached.add(name)
            for source in above:
                self.drawing.join(name, source, "made from")
        if commit.state != "good" or not (above or contents or self._reached_in(commit.repo)):
            return
        record = self.archive.record(commit)
        if record is None:
            return
        self._copies(commit, record)
        if contents:
            self._files(commit, record, contents)

    def _reached_in(self, repo: str) -> bool:
        return any(name.startswith(f"{repo}@") for name in self.reached)

    def _copies(self, commit: Commit, record: StageRecord) -> None:
        """Commits that hold files which a reached commit of the same repo computed."""
        origins = {f"{commit.repo}@{one.computed_in}" for one in record.files.values()}
        if record.reused_from:
            origins.add(f"{commit.repo}@{record.reused_from}")
        for origin in sorted(origins & self.reached - {str(commit)}):
            name = self.add(commit)
            self.reached.add(name)
            relation: Relation = "reused from" if origin == f"{commit.repo}@{record.reused_from}" else "copied from"
            self.drawing.join(name, origin, relation)

    def _files(self, commit: Commit, record: StageRecord, contents: dict[str, str]) -> None:
        """The files of a commit that were made from a content that is reached."""
        made = {path: one for path, one in record.files.items() if one.source_hash in contents}
        if not made:
            return
        self.add(commit)
        above = next((one.id for one in commit.provenance if one.repo == stage_of(commit.repo).inputs[0].repo), "")
        for path, one in made.items():
            name = file_id(commit.repo, commit.id, path)
            digest = self._hash(commit, path, one.sha256)
            self.drawing.add(LineageNode(name, "file", file_facts(self.archive, commit, path, one)))
            self.drawing.join(name, str(commit), "held by")
            source = file_id(stage_of(commit.repo).inputs[0].repo, above, one.source or "")
            known = source if source in self.drawing.nodes else contents[one.source_hash or ""]
            self.drawing.join(name, known, "made from")
            if digest:
                self._contents.setdefault(commit.repo, {}).setdefault(digest, name)

    def _hash(self, commit: Commit, path: str, sha256: str) -> str:
        """The server's hash of a file; equal SHA-256, equal hash."""
        if sha256 not in self._hashes:
            entry = self.archive.entry(commit.repo, commit.id, path)
            self._hashes[sha256] = entry.hash if entry is not None else ""
        return self._hashes[sha256]
