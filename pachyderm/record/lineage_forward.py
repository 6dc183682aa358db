"""The walk from an input file or a commit forward to everything that was made from it."""

from __future__ import annotations

from collections.abc import Callable, Iterable

from pachyderm.client.commits import Commit, all_commits
from pachyderm.client.connection import Connection
from pachyderm.client.files import PARAMETERS_FILE, REPORT
from pachyderm.dag.repos import INPUT_IMAGES, PROVENANCE, STAGES, stage_of
from pachyderm.errors import RequestError
from pachyderm.record.lineage_facts import INPUT_REPOS, add_run, commit_facts, file_facts
from pachyderm.record.lineage_graph import Graph, GraphBuilder, LineageNode, Relation, file_node_id
from pachyderm.record.record_cache import RecordCache
from pachyderm.record.stage_record import StageRecord

WalkProgress = Callable[[int, int, str], None]

PER_FILE = frozenset(stage.output.repo for stage in STAGES if stage.per_file)
"""Repos in which each file is made from one input file; in the others every file is made from all."""


def forward(
    client: Connection,
    commit: Commit,
    path: str | None = None,
    kubeflow: str | None = None,
    progress: WalkProgress | None = None,
) -> Graph:
    """Walk forward from a commit, or from one of its files.

    A file is followed by its content, so later commits that hold the same bytes under another name are reached. The
    record of every later commit is read, one request each.

    Args:
        client: the connection.
        commit: where to begin.
        path: path of a file in it; None for the whole commit.
        kubeflow: URL of the Kubeflow Pipelines UI, for links to runs.
        progress: called as ``progress(done, total, repo)`` after each commit.

    Raises:
        RequestError: the commit has no such file.
    """
    walk = _ForwardWalk(RecordCache(client), kubeflow)
    start = walk.add(commit)
    if path is not None:
        start = walk.start_with_file(commit, path)
    else:
        walk.reach(commit)
    repos = list(dict.fromkeys(branch.repo for branch in PROVENANCE))
    if commit.repo in repos:
        repos = repos[repos.index(commit.repo) :]
    later = {commit.repo: _and_later(client, commit)}
    for repo in repos:
        if repo != commit.repo:
            later[repo] = _first_made_and_later(client, repo, [source for found in later.values() for source in found])
    candidates = [candidate for repo in repos for candidate in later[repo]]
    for number, candidate in enumerate(candidates, 1):
        walk.visit(candidate)
        if progress:
            progress(number, len(candidates), candidate.repo)
    return walk.builder.graph(start)


def _and_later(client: Connection, start: Commit) -> list[Commit]:
    """Return a commit and the later ones of its repo, oldest first.

    The server's order counts: clocks may be set back.
    """
    found = []
    for commit in all_commits(client, start.repo):
        found.append(commit)
        if commit.id == start.id:
            break
    return found[::-1]


def _first_made_and_later(client: Connection, repo: str, sources: Iterable[Commit]) -> list[Commit]:
    """Return the commits of a repo from the first that is made from one of the sources, oldest first.

    Later ones may be made from older sources, after a revert, and still hold files that the first computed.
    """
    names = {str(source) for source in sources}
    commits = list(all_commits(client, repo))[::-1]
    made = (index for index, commit in enumerate(commits) if any(str(source) in names for source in commit.provenance))
    return commits[next(made, len(commits)) :]


class _ForwardWalk:
    """The commits reached so far, by name, and the contents reached, by the repo that holds them."""

    def __init__(self, cache: RecordCache, kubeflow: str | None) -> None:
        self.cache = cache
        self.builder = GraphBuilder()
        self._reached: set[str] = set()
        self._reached_repos: set[str] = set()
        self._kubeflow = kubeflow
        self._contents: dict[str, dict[str, str]] = {}
        self._hashes: dict[str, str] = {}

    def add(self, commit: Commit) -> str:
        """Add the node of a commit and of its run; return the node's id."""
        node_id = str(commit)
        if node_id not in self.builder.nodes:
            self.cache.add([commit])
            self.builder.add(LineageNode(node_id, "commit", commit_facts(self.cache, commit)))
            record = self.cache.record(commit) if commit.repo not in INPUT_REPOS else None
            if record is not None:
                add_run(self.builder, commit, record, self._kubeflow)
        return node_id

    def reach(self, commit: Commit) -> str:
        """Add a commit as one from which results are followed; return its node's id."""
        self._reached.add(str(commit))
        self._reached_repos.add(commit.repo)
        return self.add(commit)

    def start_with_file(self, commit: Commit, path: str) -> str:
        """Begin with a file; return its node's id.

        Raises:
            RequestError: the commit has no such file.
        """
        entry = self.cache.entry(commit.repo, commit.id, path)
        if entry is None:
            raise RequestError(f"{commit} has no file {path}; `pix2pix ls {commit}` lists its files")
        record = self.cache.record(commit) if commit.repo not in INPUT_REPOS else None
        file = record.files.get(path) if record else None
        start = file_node_id(commit.repo, commit.id, path)
        self.builder.add(LineageNode(start, "file", file_facts(self.cache, commit, path, file)))
        self.builder.join(start, str(commit), "held by")
        self._contents.setdefault(commit.repo, {})[entry.hash] = start
        if commit.repo not in (INPUT_IMAGES.repo, *PER_FILE) or path.startswith(REPORT) or path == PARAMETERS_FILE:
            # Such a file is part of what every result of the commit is made from.
            self.reach(commit)
            self._reach_later_holders(commit, path, entry.hash)
        return start

    def _reach_later_holders(self, commit: Commit, path: str, content_hash: str) -> None:
        """Reach the later commits of an input repo that still hold the same file."""
        if commit.repo not in INPUT_REPOS:
            return
        for later in _and_later(self.cache.client, commit):
            entry = self.cache.entry(later.repo, later.id, path)
            if later.id != commit.id and entry is not None and entry.hash == content_hash:
                self.builder.join(self.reach(later), str(commit), "copied from")

    def visit(self, commit: Commit) -> None:
        """Add a commit, or files of it, if it was made from what is reached; sources must be visited first."""
        sources = [str(source) for source in commit.provenance if str(source) in self._reached]
        contents = self._contents.get(stage_of(commit.repo).inputs[0].repo, {}) if commit.repo in PER_FILE else {}
        if sources:
            node_id = self.reach(commit)
            for source in sources:
                self.builder.join(node_id, source, "made from")
        if commit.state != "good" or not (sources or contents or commit.repo in self._reached_repos):
            return
        record = self.cache.record(commit)
        if record is None:
            return
        self._visit_copies(commit, record)
        if contents:
            self._visit_files(commit, record, contents)

    def _visit_copies(self, commit: Commit, record: StageRecord) -> None:
        """Reach a commit that holds files of a reached commit of the same repo, or that began with it."""
        origins = {f"{commit.repo}@{file.computed_in}" for file in record.files.values()}
        if record.reused_from:
            origins.add(f"{commit.repo}@{record.reused_from}")
        parent = f"{commit.repo}@{record.parent}"
        if parent in self._reached:
            self.builder.join(self.reach(commit), parent, "begun with")
        for origin in sorted((origins & self._reached) - {str(commit)}):
            relation: Relation = "reused from" if origin == f"{commit.repo}@{record.reused_from}" else "copied from"
            self.builder.join(self.reach(commit), origin, relation)

    def _visit_files(self, commit: Commit, record: StageRecord, contents: dict[str, str]) -> None:
        """Add the files of a commit that were made from a reached content."""
        made = {path: file for path, file in record.files.items() if file.source_hash in contents}
        if not made:
            return
        self.add(commit)
        datums = stage_of(commit.repo).inputs[0].repo
        input_id = next((source.id for source in commit.provenance if source.repo == datums), "")
        for path, file in made.items():
            node_id = file_node_id(commit.repo, commit.id, path)
            content_hash = self._content_hash(commit, path, file.sha256)
            self.builder.add(LineageNode(node_id, "file", file_facts(self.cache, commit, path, file)))
            self.builder.join(node_id, str(commit), "held by")
            source = file_node_id(datums, input_id, file.source or "")
            known = source if source in self.builder.nodes else contents[file.source_hash or ""]
            self.builder.join(node_id, known, "made from")
            if content_hash:
                self._contents.setdefault(commit.repo, {}).setdefault(content_hash, node_id)

    def _content_hash(self, commit: Commit, path: str, sha256: str) -> str:
        """Return the server's hash of a file, read once for each SHA-256; empty if the file is missing."""
        if sha256 not in self._hashes:
            entry = self.cache.entry(commit.repo, commit.id, path)
            self._hashes[sha256] = entry.hash if entry is not None else ""
        return self._hashes[sha256]
