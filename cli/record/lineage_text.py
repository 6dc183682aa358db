"""Draws a lineage as a tree for a terminal."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from pachyderm.record.lineage_graph import Edge, Graph, LineageNode


def tree(graph: Graph, ahead: bool = False) -> str:
    """Draw a graph from its start.

    Args:
        graph: the lineage.
        ahead: whether it was walked forward.

    Returns:
        the lines; a node that occurs more than once is drawn in full the first time and by its name after that.
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
    # Forward, a file's commit has a line beside the file already.
    edges = [edge for edge in edges if not (ahead and edge.relation in ("held by", "filled by"))]
    return sorted(edges, key=lambda edge: _FIRST.index(edge.relation))


def title(node: LineageNode) -> str:
    """Name a node in one line."""
    if node.kind == "run":
        return " ".join(filter(None, (f"run {node.facts['run']}", node.facts.get("link"))))
    return node.id


def details(node: LineageNode) -> list[str]:
    """Describe a node by what is recorded of it, in a few lines."""
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
        lines.append(f"empty: waits for {facts['awaited']}")
    lines.append(
        f"{facts['stage']}: {facts['files']} files, {facts['computed']} computed, {facts['carried']} carried over,"
        f" {facts['rejected']} rejected, {facts['seconds']:.1f} s"
    )
    parameters = facts["parameters"]
    chosen = [
        f"{name} = {parameter['value']} ({parameter['origin']})"
        for name, parameter in parameters.items()
        if parameter["origin"] != "default"
    ]
    defaults = len(parameters) - len(chosen)
    lines.append("parameters " + ", ".join([*chosen, *([f"{defaults} defaults"] if defaults else [])]))
    lines.append(f"fingerprint {facts['fingerprint']}, code {(facts['code'] or '-')[:12]}")
    lines.append("versions " + ", ".join(f"{name} {version}" for name, version in facts["versions"].items()))
    if facts.get("metrics"):
        lines.append("metrics " + ", ".join(f"{name} {value:.4g}" for name, value in facts["metrics"].items()))
    return lines
