"""Walks everything that a Pachyderm holds, back and forward, and compares with what the SDK alone reads.

It exists so that the same audit is made of a store that has seen everything and of the main job's own files:
`python tests/audit.py STORE` makes it of any.
"""

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
    """A record read with the SDK alone."""
    file = pfs.File(commit=client.commit(repo, commit), path="/_report/stage.json")
    return dict(json.loads(client.pfs.pfs_file(file=file).read()))


def good(client: Connection, repo: str) -> list[Commit]:
    return [c for c in all_commits(client, repo) if c.state == "good" and c.metadata.get("fingerprint")]


def reaches(graph: Graph, name: str) -> set[str]:
    """What can be reached back from a node along the edges."""
    found, waiting = set(), [name]
    while waiting:
        at = waiting.pop()
        if at not in found:
            found.add(at)
            waiting += [edge.source for edge in graph.sources(at)]
    return found


def traced_back(client: Connection) -> int:
    """Walk back from every file of every good output commit and compare; how many files there were."""
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
                assert ends, "it leads to an input commit"
                if repo in ("preprocess_images", "generate_images"):
                    picture = [end for end in ends if graph.nodes[end].kind == "file"]
                    assert picture and all(end.startswith("input_images@") for end in picture)
                if repo == "generate_images":
                    assert any(end.startswith("training@") for end in ends)
                assert {n for n in reached if "@" in n and ":" not in n} >= ancestors(client, repo, commit.id)
                traced += 1
    return traced


def ancestors(client: Connection, repo: str, commit: str) -> set[str]:
    """All commits that a commit is made from, asked with the SDK alone."""
    found, waiting = set(), [(repo, commit)]
    while waiting:
        at = waiting.pop()
        info = client.pfs.inspect_commit(commit=client.commit(*at))
        found.add(f"{at[0]}@{at[1]}")
        waiting += [(one.repo.name, one.id) for one in info.direct_provenance]
    return found


def led_forward(client: Connection) -> int:
    """Walk forward from every input, which must reach all that leads back to it; how many inputs there were."""
    back: dict[str, set[str]] = {}
    for repo in dict.fromkeys(branch.repo for branch in PROVENANCE):
        for commit in good(client, repo):
            for path in content(files(client, repo, commit.id)):
                graph = backward(client, commit, path)
                for source in reaches(graph, graph.start):
                    back.setdefault(source, set()).add(graph.start)
                    back[source].add(str(commit))
    seen = 0
    for commit in all_commits(client, "input_images"):
        for path in content(files(client, commit.repo, commit.id)):
            ahead = forward(client, commit, path)
            missing = back.get(ahead.start, set()) - set(ahead.nodes)
            assert not missing, f"{ahead.start} does not lead to {missing}"
            seen += 1
    for commit in all_commits(client, "training"):
        ahead = forward(client, commit)
        wanted = {name for name in back.get(str(commit), set()) if ":" not in name}
        assert not wanted - set(ahead.nodes), f"{commit} does not lead to {wanted - set(ahead.nodes)}"
        seen += 1
    return seen


if __name__ == "__main__":
    with connect(Target(store=Path(sys.argv[1]))) as client:
        print(f"{traced_back(client)} files traced back, {led_forward(client)} inputs led forward")  # noqa: T201
