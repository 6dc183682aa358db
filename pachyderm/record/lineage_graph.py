"""The graph of a lineage: commits, files and runs as nodes, what was made from what as edges.

It exists apart from the walks so that text, JSON, pages and events are drawn from one thing, whatever was walked.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any, Literal

Kind = Literal["commit", "file", "run"]

Relation = Literal["made from", "held by", "copied from", "reused from", "filled by"]
"""``made from``: the source's bytes shaped the result; ``held by``: a file's commit; ``copied from``: the commit or
file whose run computed the bytes; ``reused from``: the commit that was copied whole; ``filled by``: the run."""


@dataclass(frozen=True)
class LineageNode:
    """A commit (id ``repo@id``), a file (``repo@id:/path``) or a run (``run:id``).

    Attributes:
        facts: what is recorded of it, ready for JSON; ``problem`` says where the chain breaks.
    """

    id: str
    kind: Kind
    facts: Mapping[str, Any] = field(default_factory=dict)


@dataclass(frozen=True, order=True)
class Edge:
    """From a result to what it came from, in both directions of walking."""

    result: str
    source: str
    relation: Relation


@dataclass(frozen=True)
class Graph:
    """What a walk found.

    Attributes:
        start: id of the node that was asked about.
        nodes: by id, in the order in which they were found.
        edges: in the order in which they were found; each once.
    """

    start: str
    nodes: Mapping[str, LineageNode]
    edges: tuple[Edge, ...]

    def sources(self, node: str) -> list[Edge]:
        """The edges from a node back."""
        return [edge for edge in self.edges if edge.result == node]

    def results(self, node: str) -> list[Edge]:
        """The edges from a node forward."""
        return [edge for edge in self.edges if edge.source == node]

    def problems(self) -> list[str]:
        """Where the chain breaks, a line each."""
        return [f"{node.id}: {node.facts['problem']}" for node in self.nodes.values() if node.facts.get("problem")]

    def document(self) -> dict[str, Any]:
        """The graph for JSON."""
        return {
            "start": self.start,
            "nodes": [{"id": node.id, "kind": node.kind, **node.facts} for node in self.nodes.values()],
            "edges": [{"from": edge.result, "to": edge.source, "kind": edge.relation} for edge in self.edges],
        }


class Drawing:
    """A graph that grows; every node and edge once."""

    def __init__(self) -> None:
        self.nodes: dict[str, LineageNode] = {}
        self._edges: dict[Edge, None] = {}

    def add(self, node: LineageNode) -> bool:
        """Add a node; False where it is there already."""
        if node.id in self.nodes:
            return False
        self.nodes[node.id] = node
        return True

    def join(self, result: str, source: str, relation: Relation) -> None:
        """Add an edge."""
        self._edges[Edge(result, source, relation)] = None

    def edges(self) -> Iterable[Edge]:
        """The edges so far."""
        return tuple(self._edges)

    def graph(self, start: str) -> Graph:
        """What was drawn; edges to nodes that were never added are left out."""
        known = self.nodes
        return Graph(
            start, dict(known), tuple(edge for edge in self._edges if edge.result in known and edge.source in known)
        )


def file_id(repo: str, commit_id: str, path: str) -> str:
    """Id of a file's node."""
    return f"{repo}@{commit_id}:{path}"
