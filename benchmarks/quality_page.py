"""The page of `quality.py`: best, median and worst pictures of each set, the contenders side by side."""

from __future__ import annotations

import base64
import html
import io
from collections.abc import Mapping
from pathlib import Path

import numpy as np
from PIL import Image

Figures = Mapping[str, list[dict[str, list[float]]]]
Shown = tuple[np.ndarray, Mapping[str, Path], Figures]
"""Held-out pairs, contender -> its run with the first seed, contender -> its metrics."""
EACH = 3
"""Pictures of each kind."""
STYLE = "body{font:14px sans-serif;margin:2em}td,th{padding:2px 6px;text-align:left}img{image-rendering:pixelated}"


def chosen(values: list[float]) -> dict[str, list[int]]:
    """Return the indices of the best, median and worst pictures by a metric of which less is better."""
    order = [int(index) for index in np.argsort(values)]
    middle = (len(order) - EACH) // 2
    return {"best": order[:EACH], "median": order[middle : middle + EACH], "worst": order[-EACH:]}


def write_page(path: Path, sets: Mapping[str, Shown], ours: str) -> None:
    """Write the page; pictures are chosen by the first contender's FLIP."""
    parts = [f"<!doctype html><meta charset=utf-8><title>Quality</title><style>{STYLE}</style>"]
    for name, (test, runs, figures) in sets.items():
        outputs = {contender: np.load(file)["outputs"] for contender, file in runs.items()}
        parts.append(f"<h2>{html.escape(name)}</h2><table><tr><th><th>input<th>target")
        parts.append("".join(f"<th>{html.escape(contender)}" for contender in outputs))
        for kind, indices in chosen(figures[ours][0]["flip"]).items():
            for index in indices:
                cells = [test[index, ..., :3], test[index, ..., 3:], *(output[index] for output in outputs.values())]
                parts.append(f"<tr><td>{kind}" + "".join(f"<td>{_picture(cell)}" for cell in cells))
        parts.append("</table>")
    path.write_text("\n".join(parts), encoding="utf-8")


def _picture(pixels: np.ndarray) -> str:
    out = io.BytesIO()
    Image.fromarray(pixels).save(out, "PNG")
    height = max(128, pixels.shape[0])
    return f'<img height={height} src="data:image/png;base64,{base64.b64encode(out.getvalue()).decode()}">'
