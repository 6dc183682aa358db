"""The page of `pix2pix lineage`: columns from data to result, with thumbnails."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from cli.commit_ids import SHORT_ID
from cli.record.lineage_text import details, title
from pachyderm.dag.repos import INPUTS, STAGES
from pachyderm.record.lineage_graph import Graph, LineageNode
from pix2pix.pages.rendering import render, write

PICTURES = 200
"""Most thumbnails on a page."""


def _columns() -> list[tuple[str, tuple[str, ...]]]:
    """Return heading and repos of each column; a repo's column is its distance from the inputs."""
    depth = {branch.repo: 0 for branch in INPUTS}
    for spec in STAGES:
        depth[spec.output.repo] = 1 + max(depth[branch.repo] for branch in spec.inputs)
    columns = [("Data", tuple(branch.repo for branch in INPUTS))]
    for level in range(1, max(depth.values()) + 1):
        specs = [spec for spec in STAGES if depth[spec.output.repo] == level]
        columns.append((" and ".join(spec.title for spec in specs).capitalize(), tuple(s.output.repo for s in specs)))
    return [*columns, ("Runs", ())]


@dataclass(frozen=True)
class Link:
    """A link from a card to one of its sources."""

    relation: str
    anchor: str
    text: str


@dataclass(frozen=True)
class Card:
    """A node of the lineage as it appears on the page.

    Attributes:
        anchor: the element's id.
        start: whether the walk began here.
        picture: PNG or JPEG of the thumbnail.
    """

    anchor: str
    title: str
    start: bool
    lines: list[str]
    links: list[Link]
    picture: bytes | None


def write_page(page: Path, graph: Graph, pictures: Mapping[str, bytes]) -> None:
    """Write a self-contained page.

    Args:
        page: path of the page.
        graph: the lineage.
        pictures: id of a file's node -> PNG or JPEG for its thumbnail.
    """
    anchors = {name: f"n{number}" for number, name in enumerate(graph.nodes)}
    columns = []
    for heading, repos in _columns():
        nodes = [
            node
            for node in graph.nodes.values()
            if (node.facts.get("repo") in repos) or (not repos and node.kind == "run")
        ]
        nodes.sort(key=lambda node: node.kind != "file")
        if nodes:
            columns.append((heading, [_card(graph, node, anchors, pictures.get(node.id)) for node in nodes]))
    write(page, render("cli.record", "lineage.html", graph=graph, columns=columns))


def _card(graph: Graph, node: LineageNode, anchors: Mapping[str, str], picture: bytes | None) -> Card:
    links = [Link(edge.relation, anchors[edge.source], _short(edge.source)) for edge in graph.sources(node.id)]
    return Card(anchors[node.id], title(node), node.id == graph.start, details(node), links, picture)


def _short(name: str) -> str:
    """Shorten the commit id in a node's name."""
    repo, separator, rest = name.partition("@")
    commit, colon, path = rest.partition(":")
    return f"{repo}@{commit[:SHORT_ID]}{colon}{path}" if separator else name
