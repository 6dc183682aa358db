"""The diagram of a lineage: boxes in columns from data to result, with arrows, as SVG."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from pachyderm.record.lineage_graph import Graph

WIDTH, HEIGHT = 220, 34
"""Size of a box, pixels."""

GAP_ACROSS, GAP_DOWN = 70, 14
"""Distance between boxes, pixels."""

MOST = 60
"""Boxes above which no diagram is drawn: nobody could follow its arrows."""


@dataclass(frozen=True)
class Box:
    """A node: the anchor of its card, its text, its upper left corner, and whether the walk began here."""

    anchor: str
    text: str
    x: int
    y: int
    start: bool


@dataclass(frozen=True)
class Arrow:
    """From a source to its result: the path of an SVG, and the relation."""

    path: str
    relation: str


@dataclass(frozen=True)
class Diagram:
    """Boxes and arrows, and the size of both together and of a box, pixels."""

    boxes: tuple[Box, ...]
    arrows: tuple[Arrow, ...]
    width: int
    height: int
    box: tuple[int, int] = (WIDTH, HEIGHT)


def draw(
    graph: Graph, columns: Sequence[Sequence[str]], anchors: Mapping[str, str], texts: Mapping[str, str]
) -> Diagram | None:
    """Lay a graph out.

    Args:
        graph: the lineage.
        columns: ids of nodes, from data to result.
        anchors: id of a node -> anchor of its card.
        texts: id of a node -> text of its box.

    Returns:
        None if there is nothing to connect, or more than `MOST` nodes.
    """
    boxes = {
        name: Box(
            anchors[name],
            texts[name],
            column * (WIDTH + GAP_ACROSS) + 1,
            row * (HEIGHT + GAP_DOWN) + 1,
            name == graph.start,
        )
        for column, names in enumerate(columns)
        for row, name in enumerate(names)
    }
    if not graph.edges or len(boxes) > MOST:
        return None
    arrows = tuple(
        Arrow(_path(boxes[edge.source], boxes[edge.result]), edge.relation)
        for edge in graph.edges
        if edge.source in boxes and edge.result in boxes
    )
    width = max(box.x for box in boxes.values()) + WIDTH + 24
    return Diagram(tuple(boxes.values()), arrows, width, max(box.y for box in boxes.values()) + HEIGHT + 2)


def _path(source: Box, result: Box) -> str:
    """Return a curve from the right edge of the source to the left edge of the result; within a column, around it."""
    start_y, end_y = source.y + HEIGHT // 2, result.y + HEIGHT // 2
    if source.x == result.x:
        edge = source.x + WIDTH
        return f"M{edge} {start_y} C{edge + 22} {start_y} {edge + 22} {end_y} {edge} {end_y}"
    if source.x > result.x:
        start, end = source.x, result.x + WIDTH
        bend = -(start - end) // 2
    else:
        start, end = source.x + WIDTH, result.x
        bend = (end - start) // 2
    return f"M{start} {start_y} C{start + bend} {start_y} {end - bend} {end_y} {end} {end_y}"
