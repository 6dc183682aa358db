"""An audit of the lineage of a whole store against what the SDK alone reads: `python tests/audit.py STORE`."""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import Any

from pachyderm_sdk.api import pfs

from pachyderm.client.commits import Commit, all_commits
from pachyderm.client.connection import Connection, Target, connect
from pachyderm.client.files import content, files
from pachyderm.dag.repos import INPUTS, PROVENANCE
from pachyderm.record.lineage_backward import backward
from pachyderm.record.lineage_forward import forward
from pachyderm.record.lineage_graph import Graph


def raw_record(client: Connection, repo: str, commit: str) -> dict[str, Any]:
    """Read a record with the SDK alone."""
    file = pfs.File(commit=client.commit(repo, commit), path="/_report/stage.json")
    return dict(json.loads(client.pfs.pfs_file(file=file).read()))


def good(client: Connection, repo: str) -> list[Commit]:
    return [c for c in all_commits(client, repo) if c.state == "good" and c.metadata.get("fingerprint")]


def reaches(graph: Graph, name: str) -> set[str]:
    """Return the ids of all nodes that a node leads back to, itself included."""
    found, pending = set(), [name]
    while pending:
        node = pending.pop()
        if node not in found:
            found.add(node)
            pending += [edge.source for edge in graph.sources(node)]
    return found


def traced_back(client: Connection) -> int:
    """Walk back from every file of every good output commit and compare; return the number of files."""
    traced = 0
    for repo in dict.fromkeys(branch.repo for branch in PROVENANCE):
        for commit in good(client, repo):
            record = raw_record(client, repo, commit.id)
            for path in content(files(client, repo, commit.id)):
                graph = backward(client, commit, path)
                start = graph.nodes[graph.start].facts
                assert start["sha256"] == record["files"][path]["sha256"]
                assert graph.problems() == []
                reached = reaches(graph, graph.start)
                held = graph.nodes[str(commit)].facts
                assert held["fingerprint"] == commit.metadata["fingerprint"]
                assert held["code"] == record["parts"]["code"]
                assert held["parameters"] == record["parameters"]
                assert f"run:{record['run']['id']}" in reached
                computed = f"{repo}@{record['files'][path]['computed_in']}"
                assert computed in reached and graph.nodes[computed].facts["outcome"] == "computed"
                ends = {node for node in reached if graph.nodes[node].facts.get("repo") in {b.repo for b in INPUTS}}
                assert ends, "leads to no input commit"
                if repo in ("preprocess_images", "generate_images"):
                    picture = [end for end in ends if graph.nodes[end].kind == "file"]
                    assert picture and all(end.startswith("input_images@") for end in picture)
                if repo == "generate_images":
                    assert any(end.startswith("training@") for end in ends)
                assert {n for n in reached if "@" in n and ":" not in n} >= ancestors(client, repo, commit.id)
                traced += 1
    return traced


def ancestors(client: Connection, repo: str, commit: str) -> set[str]:
    """Return all commits that a commit is made from, read with the SDK alone."""
    found, pending = set(), [(repo, commit)]
    while pending:
        repo, commit = pending.pop()
        info = client.pfs.inspect_commit(commit=client.commit(repo, commit))
        found.add(f"{repo}@{commit}")
        pending += [(source.repo.name, source.id) for source in info.direct_provenance]
    return found


def led_forward(client: Connection) -> int:
    """Walk forward from every input, which must reach all that leads back to it; return the number of inputs."""
    back: dict[str, set[str]] = {}
    for repo in dict.fromkeys(branch.repo for branch in PROVENANCE):
        for commit in good(client, repo):
            for path in content(files(client, repo, commit.id)):
                graph = backward(client, commit, path)
                for source in reaches(graph, graph.start):
                    back.setdefault(source, set()).add(graph.start)
                    back[source].add(str(commit))
    followed = 0
    for commit in all_commits(client, "input_images"):
        for path in content(files(client, commit.repo, commit.id)):
            ahead = forward(client, commit, path)
            missing = back.get(ahead.start, set()) - set(ahead.nodes)
            assert not missing, f"{ahead.start} does not lead to {missing}"
            followed += 1
    for commit in all_commits(client, "training"):
        ahead = forward(client, commit)
        expected = {name for name in back.get(str(commit), set()) if ":" not in name}
        assert not expected - set(ahead.nodes), f"{commit} does not lead to {expected - set(ahead.nodes)}"
        followed += 1
    return followed


if __name__ == "__main__":
    with connect(Target(store=Path(sys.argv[1]))) as client:
        print(f"{traced_back(client)} files traced back, {led_forward(client)} inputs led forward")  # noqa: T201
