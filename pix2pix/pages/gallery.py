"""Pages that show pictures in rows: what was generated from what, or how near it came to its target.

It exists so that a folder of results can be looked at in a browser, at once and offline.
"""

from __future__ import annotations

import html
import os
from collections.abc import Mapping, Sequence
from pathlib import Path
from urllib.parse import quote

PAGE = """<!doctype html>
<html lang="en">
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<title>{title}</title>
<style>
body {{ font: 16px/1.4 system-ui, sans-serif; margin: 1rem auto; max-width: 70rem; padding: 0 1rem; }}
table {{ border-collapse: collapse; width: 100%; }}
th {{ text-align: left; position: sticky; top: 0; background: #fff; }}
td {{ border-top: 1px solid #ddd; padding: .3rem .3rem .3rem 0; overflow-wrap: anywhere; }}
img {{ max-width: 100%; image-rendering: auto; }}
@media print {{ tr {{ break-inside: avoid; }} th {{ position: static; }} }}
</style>
<h1>{title}</h1>
<p>{summary}</p>
<table>
<tr>{heads}</tr>
{rows}
</table>
</html>
"""


def write_gallery(target: Path, source: Path, pictures: Mapping[str, str]) -> None:
    """Write ``index.html``: input beside output.

    Args:
        target: folder of the outputs and of the page.
        source: folder of the inputs, which the page links to.
        pictures: input -> output, relative to their folders.
    """
    inputs = Path(os.path.relpath(os.path.realpath(source), os.path.realpath(target)))
    rows: list[list[str | Path]] = [[name, inputs / name, Path(output)] for name, output in pictures.items()]
    count = f"{len(rows)} picture{'s' * (len(rows) != 1)}"
    write_page(target / "index.html", "Generated pictures", count, ["name", "input", "output"], rows)


def write_page(
    path: Path, title: str, summary: str, heads: Sequence[str], rows: Sequence[Sequence[str | Path]]
) -> None:
    """Write a page with one table.

    Args:
        path: the file.
        title: of the page, plain text.
        summary: one line below it, plain text.
        heads: of the columns, plain text.
        rows: cells; a Path is shown as the picture at that place, relative to the page.
    """
    lines = ["<tr>" + "".join(f"<td>{_cell(cell)}" for cell in row) + "</tr>" for row in rows]
    text = PAGE.format(
        title=html.escape(title),
        summary=html.escape(summary),
        heads="".join(f"<th>{html.escape(head)}" for head in heads),
        rows="\n".join(lines),
    )
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text, encoding="utf-8", errors="surrogateescape")


def _cell(cell: str | Path) -> str:
    if isinstance(cell, str):
        return html.escape(cell)
    return (
        f'<img loading="lazy" alt="{html.escape(cell.name)}" src="{html.escape(quote(os.fsencode(cell.as_posix())))}">'
    )
