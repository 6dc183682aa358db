"""Draws a lineage as a tree for a terminal.

It exists because a graph in which everything leads to one commit reads best as the tree of how one walked it.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from pachyderm.record.lineage_graph import Edge, Graph, LineageNode


def tree(graph: Graph, ahead: bool = False) -> str:
    """Draw a graph from its start.

    Args:
        graph: what was walked.
        ahead: whether it was walked forward.

    Returns:
        lines; a node is drawn in full once and only named after that.
    """
    lines: list[str] = []
    shown: set[str] = set()

    def draw(name: str, relation: str, stem: str, branch: str) -> None:
        node = graph.nodes[name]
        again = name in shown
        lines.append(f"{branch}{relation}{title(node)}{' (see above)' if again else ''}")
        if again:
            return
        shown.add(name)
        edges = _edges(graph, name, ahead)
        bar = f"{stem}│  " if edges else f"{stem}   "
        lines.extend(bar + line for line in details(node))
        for number, edge in enumerate(edges):
            last = number == len(edges) - 1
            draw(
                edge.result if ahead else edge.source,
                f"{_WORDS_AHEAD[edge.relation] if ahead else edge.relation} ",
                stem + ("   " if last else "│  "),
                stem + ("└─ " if last else "├─ "),
            )

    draw(graph.start, "", "", "")
    return "\n".join(lines)


_WORDS_AHEAD = {
    "made from": "made",
    "held by": "holds",
    "copied from": "copied to",
    "reused from": "reused for",
    "filled by": "filled",
}

_FIRST = ("made from", "copied from", "held by", "reused from", "filled by")


def _edges(graph: Graph, name: str, ahead: bool) -> list[Edge]:
    edges = graph.results(name) if ahead else graph.sources(name)
    # Forward, a file's commit is on its own line beside it already.
    edges = [edge for edge in edges if not (ahead and edge.relation in ("held by", "filled by"))]
    return sorted(edges, key=lambda edge: _FIRST.index(edge.relation))


def title(node: LineageNode) -> str:
    """One line that names a node."""
    if node.kind == "run":
        return " ".join(filter(None, (f"run {node.facts['run']}", node.facts.get("link"))))
    return node.id


def details(node: LineageNode) -> list[str]:
    """What is recorded of a node, a few lines."""
    facts = node.facts
    lines = []
    if facts.get("problem"):
        lines.append(f"! {facts['problem']}")
    if node.kind == "file" and "bytes" in facts:
        sha256 = f", sha256 {facts['sha256']}" if "sha256" in facts else f", hash {facts['hash']}"
        lines.append(f"{facts['bytes']} bytes{sha256}")
    if node.kind == "commit" and "state" in facts:
        lines += _commit(facts)
    return lines


def _commit(facts: Mapping[str, Any]) -> list[str]:
    ended = f", {facts['outcome']}" if "outcome" in facts else ""
    lines = [f"{facts['state']}{ended}, {facts['started']}" + (f": {facts['error']}" if "error" in facts else "")]
    if "message" in facts:
        lines.append(facts["message"])
    if "stage" not in facts:
        return lines
    if facts.get("awaited"):
        lines.append(f"awaited {facts['awaited']}")
    lines.append(
        f"{facts['stage']}: {facts['files']} files, {facts['computed']} computed, {facts['carried']} carried over,"
        f" {facts['rejected']} rejected, {facts['seconds']:.1f} s"
    )
    chosen = [f"{name} = {one['value']} ({one['origin']})" for name, one in facts["parameters"].items()]
    told = [text for text in chosen if not text.endswith("(default)")]
    defaults = len(chosen) - len(told)
    lines.append("parameters " + ", ".join([*told, *([f"{defaults} defaults"] if defaults else [])]))
    lines.append(f"fingerprint {facts['fingerprint']}, code {(facts['code'] or '-')[:12]}")
    lines.append("versions " + ", ".join(f"{name} {one}" for name, one in facts["versions"].items()))
    if facts.get("metrics"):
        lines.append("metrics " + ", ".join(f"{name} {one:.4g}" for name, one in facts["metrics"].items()))
    return lines
