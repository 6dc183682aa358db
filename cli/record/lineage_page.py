"""The page of `pix2pix lineage`: columns from data to result, with thumbnails."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from types import MappingProxyType

from cli.record.lineage_diagram import draw
from cli.record.lineage_text import details
from pachyderm.dag.repos import INPUTS, STAGES
from pachyderm.dag.short_ids import SHORT_ID, short_ids
from pachyderm.record.lineage_graph import Graph, LineageNode
from pix2pix.pages.rendering import render, write

PICTURES = 200
"""Most thumbnails on a page."""

LONGEST = 33
"""Characters that fit into a box of the diagram."""


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
        pairs: PNGs or JPEGs of training pairs.
        link: address of the run in Kubeflow's UI; None if there is none.
    """

    anchor: str
    title: str
    start: bool
    lines: list[str]
    links: list[Link]
    picture: bytes | None
    pairs: Sequence[bytes] = ()
    link: str | None = None


def write_page(
    page: Path,
    graph: Graph,
    pictures: Mapping[str, bytes],
    pairs: Mapping[str, Sequence[bytes]] = MappingProxyType({}),
) -> None:
    """Write a self-contained page.

    Args:
        page: path of the page.
        graph: the lineage.
        pictures: id of a file's node -> PNG or JPEG for its thumbnail.
        pairs: id of a commit of `training` -> PNGs or JPEGs of some of its pairs.
    """
    anchors = {name: f"n{number}" for number, name in enumerate(graph.nodes)}
    columns, names = [], []
    for heading, repos in _columns():
        nodes = [
            node
            for node in graph.nodes.values()
            if (node.facts.get("repo") in repos) or (not repos and node.kind == "run")
        ]
        nodes.sort(key=lambda node: node.kind != "file")
        if nodes:
            cards = [_card(graph, node, anchors, pictures.get(node.id), pairs.get(node.id, ())) for node in nodes]
            columns.append((heading, cards))
            names.append([node.id for node in nodes])
    texts = {node.id: _box_text(node) for node in graph.nodes.values()}
    diagram = draw(graph, names, anchors, texts)
    write(
        page,
        render("cli.record", "lineage.html", graph=graph, start=_short(graph.start), columns=columns, diagram=diagram),
    )


def _card(
    graph: Graph,
    node: LineageNode,
    anchors: Mapping[str, str],
    picture: bytes | None,
    pairs: Sequence[bytes],
) -> Card:
    links = [Link(edge.relation, anchors[edge.source], _short(edge.source)) for edge in graph.sources(node.id)]
    heading = f"run {short_ids(str(node.facts['run']))}" if node.kind == "run" else _short(node.id)
    lines = [short_ids(line) for line in details(node)]
    start = node.id == graph.start
    return Card(anchors[node.id], heading, start, lines, links, picture, pairs, node.facts.get("link"))


def _box_text(node: LineageNode) -> str:
    """Name a node in the width of a box."""
    text = f"run {node.facts['run']}" if node.kind == "run" else node.facts.get("path") or _short(node.id)
    text = short_ids(text)
    return text if len(text) <= LONGEST else f"{text[: LONGEST - 10]}…{text[-9:]}"


def _short(name: str) -> str:
    """Shorten the commit id in a node's name."""
    repo, separator, rest = name.partition("@")
    commit, colon, path = rest.partition(":")
    return f"{repo}@{commit[:SHORT_ID]}{colon}{path}" if separator else short_ids(name)
