"""What the public API returns, with descriptions for notebooks."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from functools import cached_property
from typing import Any

from pachyderm.client.commits import Commit
from pachyderm.fragments import render
from pachyderm.record.lineage_graph import Edge, Graph, LineageNode

MOST_SHOWN = 24
"""Pictures that a notebook shows at once."""


class CommitLog(tuple[Commit, ...]):
    """Commits, newest first."""

    __slots__ = ()

    def _repr_html_(self) -> str:
        return render("log.html", commits=self)


class PictureFiles(Mapping[str, bytes]):
    """The PNG and JPEG files of a commit: path -> content, in byte order of the paths."""

    def __init__(self, pictures: Mapping[str, bytes]) -> None:
        self._pictures = dict(pictures)

    def __getitem__(self, path: str) -> bytes:
        return self._pictures[path]

    def __iter__(self) -> Iterator[str]:
        return iter(self._pictures)

    def __len__(self) -> int:
        return len(self._pictures)

    def __repr__(self) -> str:
        return f"<{len(self)} pictures: {', '.join(list(self)[:3])}{', ...' if len(self) > 3 else ''}>"

    def _repr_html_(self) -> str:
        shown = dict(list(self._pictures.items())[:MOST_SHOWN])
        return render("pictures.html", pictures=shown, left_out=len(self) - len(shown))


@dataclass(frozen=True)
class LineageRow:
    """A node of a lineage as a line of its description.

    Attributes:
        depth: number of steps from the start.
        relation: how it relates to the line above it at the next lower depth; empty for the start.
        name: of the node.
        again: whether it was described further up.
        lines: what is recorded about it.
        problem: why the chain ends here, or empty.
        link: URL of the run, or empty.
        picture: PNG or JPEG of a file, or empty.
    """

    depth: int
    relation: str
    name: str
    again: bool
    lines: tuple[str, ...]
    problem: str
    link: str
    picture: bytes


@dataclass(frozen=True)
class Lineage:
    """Where a result comes from, or what was made from an input.

    Attributes:
        graph: commits, files and runs, and how they relate.
        forward: whether the walk led from an input to its results.
        pictures: node of a small picture file -> its content.
    """

    graph: Graph
    forward: bool
    pictures: Mapping[str, bytes]

    @cached_property
    def commits(self) -> tuple[str, ...]:
        """The commits of the lineage, ``repo@id``, in the order of discovery."""
        return tuple(node.id for node in self.graph.nodes.values() if node.kind == "commit")

    def __str__(self) -> str:
        return "\n".join(f"{'  ' * row.depth}{row.relation} {row.name}".rstrip() for row in self.rows())

    def rows(self) -> list[LineageRow]:
        """Return the lineage line by line, depth first; a node is described where it occurs first."""
        rows, described = [], set()
        pending: list[tuple[int, str, str]] = [(0, "", self.graph.start)]
        while pending:
            depth, relation, name = pending.pop()
            again = name in described
            rows.append(self._row(depth, relation, name, again))
            if not again:
                described.add(name)
                pending += [(depth + 1, edge.relation, target) for edge, target in reversed(self._next(name))]
        return rows

    def _next(self, name: str) -> list[tuple[Edge, str]]:
        if self.forward:
            return [(edge, edge.result) for edge in self.graph.results(name)]
        return [(edge, edge.source) for edge in self.graph.sources(name)]

    def _row(self, depth: int, relation: str, name: str, again: bool) -> LineageRow:
        node = self.graph.nodes[name]
        lines = () if again else _lines(node)
        picture = b"" if again else self.pictures.get(name, b"")
        problem, link = node.facts.get("problem", ""), node.facts.get("link", "")
        return LineageRow(depth, relation, name, again, lines, problem, link, picture)

    def _repr_html_(self) -> str:
        return render("lineage.html", rows=self.rows())


def _lines(node: LineageNode) -> tuple[str, ...]:
    """Describe a node by what is recorded of it."""
    facts: Mapping[str, Any] = node.facts
    if node.kind != "commit" or "state" not in facts:
        return (f"{facts['bytes']:,} bytes",) if "bytes" in facts else ()
    outcome = f", {facts['outcome']}" if "outcome" in facts else ""
    lines = [f"{facts['state']}{outcome}, {facts['started']}"]
    lines += [facts[name] for name in ("message", "error") if name in facts]
    if "stage" in facts:
        lines.append(f"{facts['stage']}: {facts['computed']} computed, {facts['carried']} carried over")
        chosen = {name: entry["value"] for name, entry in facts["parameters"].items() if entry["origin"] != "default"}
        if chosen:
            lines.append("parameters: " + ", ".join(f"{name} = {value}" for name, value in chosen.items()))
    if "metrics" in facts:
        lines.append("metrics: " + ", ".join(f"{name} {value:.4g}" for name, value in facts["metrics"].items()))
    return tuple(lines)
