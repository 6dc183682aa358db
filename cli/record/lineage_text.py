"""Draws a lineage as a tree for a terminal."""

from __future__ import annotations

import json
from collections import deque
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from pachyderm.queue.decisions import stamp
from pachyderm.record.lineage_graph import Edge, Graph, LineageNode
from pix2pix.escaping import escape

DEEPEST = 24
"""Levels of a tree, so that lines stay readable and their length does not grow with a chain of reuses."""


@dataclass(frozen=True)
class _Item:
    """A node to draw: its name, and what comes before it and before the lines below it."""

    name: str
    relation: str = ""
    stem: str = ""
    branch: str = ""


def tree(graph: Graph, ahead: bool = False) -> str:
    """Draw a graph from its start.

    Args:
        graph: the lineage.
        ahead: whether it was walked forward.

    Returns:
        the lines; a node that occurs more than once is drawn in full the first time and by its name after that. A tree
        deeper than `DEEPEST` levels continues as another tree below the first.
    """
    lines: list[str] = []
    shown: set[str] = set()
    trees = deque([graph.start])
    while trees:
        pending = [_Item(trees.popleft())]
        while pending:
            item = pending.pop()
            node = graph.nodes[item.name]
            edges = _edges(graph, item.name, ahead)
            again = item.name in shown
            continued = not again and bool(edges) and len(item.stem) >= 3 * DEEPEST
            note = " (see above)" if again else " (continued below)" if continued else ""
            lines.append(escape(f"{item.branch}{item.relation}{title(node)}{note}"))
            if continued:
                trees.append(item.name)
            if again or continued:
                continue
            shown.add(item.name)
            bar = f"{item.stem}│  " if edges else f"{item.stem}   "
            lines.extend(escape(bar + line) for line in details(node))
            pending.extend(reversed(_children(edges, item.stem, ahead)))
    return "\n".join(lines)


def _children(edges: list[Edge], stem: str, ahead: bool) -> list[_Item]:
    items = []
    for number, edge in enumerate(edges, 1):
        last = number == len(edges)
        relation = _WORDS_AHEAD[edge.relation] if ahead else edge.relation
        name = edge.result if ahead else edge.source
        items.append(_Item(name, f"{relation} ", stem + ("   " if last else "│  "), stem + ("└─ " if last else "├─ ")))
    return items


_WORDS_AHEAD = {
    "made from": "made",
    "held by": "holds",
    "copied from": "copied to",
    "reused from": "reused for",
    "begun with": "begins",
    "filled by": "filled",
}

_FIRST = ("made from", "copied from", "held by", "reused from", "begun with", "filled by")


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
    if "verdict" in facts:
        verdict = facts["verdict"]
        reason = f": {verdict['reason']}" if verdict["reason"] else ""
        lines.append(f"{verdict['verdict']} by {verdict['by']}, {stamp(verdict['time'])}{reason}")
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
        f"{name} = {json.dumps(parameter['value'])} ({parameter['origin']})"
        for name, parameter in parameters.items()
        if parameter["origin"] != "default"
    ]
    defaults = len(parameters) - len(chosen)
    lines.append("parameters " + ", ".join([*chosen, *([f"{defaults} defaults"] if defaults else [])]))
    lines.append(f"fingerprint {facts['fingerprint'][:12]}, code {(facts['code'] or '-')[:12]}")
    lines.append("versions " + ", ".join(f"{name} {version}" for name, version in facts["versions"].items()))
    if facts.get("metrics"):
        lines.append("metrics " + ", ".join(f"{name} {value:.4g}" for name, value in facts["metrics"].items()))
    if facts.get("gate"):
        lines.append(f"gate: {facts['gate']}")
    return lines
