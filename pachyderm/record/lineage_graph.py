"""The graph of a lineage: commits, files and runs as nodes, their relations as edges."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any, Literal

Kind = Literal["commit", "file", "run"]

Relation = Literal["made from", "held by", "copied from", "reused from", "begun with", "filled by"]
"""``made from``: the source determined the result; ``held by``: the commit of a file; ``copied from``: the commit or
file whose run computed the bytes; ``reused from``: the commit that was copied as a whole; ``begun with``: the model
whose weights a training began with; ``filled by``: the run."""


@dataclass(frozen=True)
class LineageNode:
    """A commit (id ``repo@id``), a file (``repo@id:/path``) or a run (``run:id``).

    Attributes:
        id: the id.
        kind: what the node stands for.
        facts: what is recorded about it, ready for JSON; ``problem`` states why the chain ends here.
    """

    id: str
    kind: Kind
    facts: Mapping[str, Any] = field(default_factory=dict)


@dataclass(frozen=True, order=True)
class Edge:
    """From a result to its source, whichever direction was walked."""

    result: str
    source: str
    relation: Relation


@dataclass(frozen=True)
class Graph:
    """The result of a walk.

    Attributes:
        start: id of the node where the walk began.
        nodes: by id, in the order of discovery.
        edges: in the order of discovery, without duplicates.
    """

    start: str
    nodes: Mapping[str, LineageNode]
    edges: tuple[Edge, ...]

    def sources(self, node: str) -> list[Edge]:
        """Return the edges from a node to its sources."""
        return self._by_result.get(node, [])

    def results(self, node: str) -> list[Edge]:
        """Return the edges from the results of a node to it."""
        return self._by_source.get(node, [])

    @cached_property
    def _by_result(self) -> dict[str, list[Edge]]:
        edges = defaultdict(list)
        for edge in self.edges:
            edges[edge.result].append(edge)
        return dict(edges)

    @cached_property
    def _by_source(self) -> dict[str, list[Edge]]:
        edges = defaultdict(list)
        for edge in self.edges:
            edges[edge.source].append(edge)
        return dict(edges)

    def problems(self) -> list[str]:
        """Return where and why the chain ends early, one line each."""
        return [f"{node.id}: {node.facts['problem']}" for node in self.nodes.values() if node.facts.get("problem")]

    def document(self) -> dict[str, Any]:
        """Return the graph for JSON."""
        return {
            "start": self.start,
            "nodes": [{"id": node.id, "kind": node.kind, **node.facts} for node in self.nodes.values()],
            "edges": [{"from": edge.result, "to": edge.source, "kind": edge.relation} for edge in self.edges],
        }


class GraphBuilder:
    """A graph under construction; duplicates of nodes and edges are ignored."""

    def __init__(self) -> None:
        self.nodes: dict[str, LineageNode] = {}
        self._edges: dict[Edge, None] = {}

    def add(self, node: LineageNode) -> bool:
        """Add a node; return False if it is present already."""
        if node.id in self.nodes:
            return False
        self.nodes[node.id] = node
        return True

    def join(self, result: str, source: str, relation: Relation) -> None:
        """Add an edge; its nodes may be added later."""
        self._edges[Edge(result, source, relation)] = None

    def graph(self, start: str) -> Graph:
        """Return the graph without edges whose nodes were never added."""
        nodes = dict(self.nodes)
        return Graph(start, nodes, tuple(edge for edge in self._edges if edge.result in nodes and edge.source in nodes))


def commit_node_id(repo: str, commit_id: str) -> str:
    """Return the id of a commit's node."""
    return f"{repo}@{commit_id}"


def file_node_id(repo: str, commit_id: str, path: str) -> str:
    """Return the id of a file's node."""
    return f"{repo}@{commit_id}:{path}"
