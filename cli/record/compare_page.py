"""The page of `pix2pix compare`: facts about models, and their pictures of the same inputs."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from cli.generated_pictures import Originals, same_inputs, samples_of
from pachyderm.client.commits import Commit
from pachyderm.client.connection import Connection
from pachyderm.client.files import read
from pachyderm.errors import RequestError
from pix2pix.pages.rendering import render, write

SHOWN = 24
"""Most inputs whose pictures are shown."""


@dataclass(frozen=True)
class PictureRow:
    """One input with the output of each model, PNG; None where there is none."""

    path: str
    input: bytes | None
    outputs: tuple[bytes | None, ...]
    target: bytes | None


def write_page(page: Path, client: Connection, models: Sequence[Commit], facts: Sequence[Sequence[Any]]) -> int:
    """Write a self-contained page.

    Args:
        page: path of the page.
        client: the connection.
        models: what to compare.
        facts: rows of the table, the first one names the models.

    Returns:
        the number of inputs whose pictures are shown.
    """
    problem = ""
    rows: list[PictureRow] = []
    try:
        rows = _pictures(client, models)
    except RequestError as error:
        problem = str(error)
    samples = [samples_of(client, model) for model in models]
    names = facts[0][1:]
    content = render(
        "cli.record", "compare.html", facts=facts, names=names, rows=rows, samples=samples, problem=problem
    )
    write(page, content)
    return len(rows)


def _pictures(client: Connection, models: Sequence[Commit]) -> list[PictureRow]:
    generations = same_inputs(client, models)
    originals = Originals(client, generations[0])
    rows = []
    for path in list(generations[0].record.files)[:SHOWN]:
        outputs = tuple(read(client, one.commit.repo, one.commit.id, path) for one in generations)
        picture = originals.input(path)
        rows.append(PictureRow(path, picture, outputs, originals.target(path, picture)))
    return rows
