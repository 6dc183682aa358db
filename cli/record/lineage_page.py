"""The page of `lineage`: the graph as columns from data to result, with thumbnails, in one self-contained file.

It exists because a person who is shown a picture wants to see what it came from, not to read hashes first.
"""

from __future__ import annotations

import base64
from collections.abc import Mapping
from html import escape
from pathlib import Path

from cli.record.lineage_text import details, title
from pachyderm.dag.repos import INPUTS, STAGES
from pachyderm.record.lineage_graph import Graph, LineageNode


def _columns() -> list[tuple[str, tuple[str, ...]]]:
    """Heading -> repos, in the order in which data flows: a repo's column is its distance from the inputs."""
    depth = {branch.repo: 0 for branch in INPUTS}
    for spec in STAGES:
        depth[spec.output.repo] = 1 + max(depth[branch.repo] for branch in spec.inputs)
    columns = [("Data", tuple(branch.repo for branch in INPUTS))]
    for level in range(1, max(depth.values()) + 1):
        specs = [spec for spec in STAGES if depth[spec.output.repo] == level]
        columns.append((" and ".join(spec.title for spec in specs).capitalize(), tuple(s.output.repo for s in specs)))
    return [*columns, ("Runs", ())]


PICTURES = 200
"""Thumbnails on a page at most."""

STYLE = """
:root{color-scheme:light dark}*{box-sizing:border-box}
body{font:14px/1.45 system-ui,sans-serif;margin:1rem auto;padding:0 1rem;max-width:110rem}
h1{font-size:1.2rem;overflow-wrap:anywhere}h2{font-size:1rem;margin:.2rem 0 .6rem}
main{display:grid;grid-template-columns:repeat(auto-fit,minmax(min(100%,17rem),1fr));gap:1rem;align-items:start}
article{border:1px solid #8886;border-radius:6px;padding:.5rem .6rem;margin:0 0 .7rem;overflow-wrap:anywhere}
article:target,article.start{border-color:#3478f6;border-width:2px}
h3{font-size:13px;margin:0 0 .3rem}ul{padding-left:1.1rem;margin:.3rem 0 0}li,p{font-size:12px;margin:.1rem 0}
img{width:96px;max-width:100%;image-rendering:pixelated;border-radius:3px;display:block;margin:.2rem 0 .4rem}
a{color:#3478f6;text-decoration:none}.bad{color:#c22}
"""


def write_page(page: Path, graph: Graph, pictures: Mapping[str, bytes]) -> None:
    """Write the page; it loads nothing from elsewhere.

    Args:
        page: the file.
        graph: to draw.
        pictures: id of a file's node -> PNG or JPEG, for a thumbnail.
    """
    anchors = {name: f"n{number}" for number, name in enumerate(graph.nodes)}
    columns = []
    for heading, repos in _columns():
        chosen = [
            node
            for node in graph.nodes.values()
            if (node.facts.get("repo") in repos) or (not repos and node.kind == "run")
        ]
        if chosen:
            chosen.sort(key=lambda node: node.kind != "file")
            cards = "".join(_card(graph, node, anchors, pictures.get(node.id)) for node in chosen)
            columns.append(f"<section><h2>{heading}</h2>{cards}</section>")
    problems = "".join(f'<p class="bad">{escape(one)}</p>' for one in graph.problems())
    page.parent.mkdir(parents=True, exist_ok=True)
    page.write_text(
        '<!doctype html><html lang="en"><head><meta charset="utf-8">'
        '<meta name="viewport" content="width=device-width,initial-scale=1">'
        f"<title>Lineage of {escape(graph.start)}</title><style>{STYLE}</style></head><body>"
        f"<h1>Lineage of {escape(graph.start)}</h1>{problems}<main>{''.join(columns)}</main></body></html>\n",
        encoding="utf-8",
    )


def _card(graph: Graph, node: LineageNode, anchors: Mapping[str, str], picture: bytes | None) -> str:
    start = ' class="start"' if node.id == graph.start else ""
    lines = "".join(
        f'<p class="bad">{escape(line)}</p>' if line.startswith("!") else f"<p>{escape(line)}</p>"
        for line in details(node)
    )
    links = "".join(
        f'<li>{edge.relation} <a href="#{anchors[edge.source]}">{escape(_short(edge.source))}</a>'
        for edge in graph.sources(node.id)
    )
    return (
        f'<article id="{anchors[node.id]}"{start}><h3>{escape(title(node))}</h3>{_thumbnail(picture)}{lines}'
        f"{f'<ul>{links}</ul>' if links else ''}</article>"
    )


def _thumbnail(picture: bytes | None) -> str:
    if picture is None:
        return ""
    kind = "jpeg" if picture.startswith(b"\xff\xd8") else "png"
    return f'<img alt="" src="data:image/{kind};base64,{base64.b64encode(picture).decode()}">'


def _short(name: str) -> str:
    repo, at, rest = name.partition("@")
    commit, colon, path = rest.partition(":")
    return f"{repo}{at}{commit[:8]}{colon}{path}" if at else name
