"""The subcommand `init`: a folder to work in, with repos and a commented parameters file."""

from __future__ import annotations

import dataclasses
import json
from pathlib import Path

import click

from cli.console import emit
from cli.options import Session, with_session
from pix2pix.escaping import escape

FILE_NAME = "pix2pix.toml"

FEW = {
    "train": (
        *("minutes", "size", "max_steps", "max_epochs", "batch_size", "learning_rate"),
        *("ngf", "ndf", "l1_weight", "gan_mode"),
    ),
    "export": ("weights",),
    "resize": ("size", "operation", "fit", "labels"),
    "generate": ("size", "batch_size"),
}
"""Section -> the hyperparameters that people change most; docs/parameters.md lists all."""

HEADINGS = {
    "train": "Parameters are data: put this file beside the pairs, and it applies to their commit.\n"
    "Lines with a # show the defaults, which are the paper's and need a GPU.\n"
    "For a laptop, set minutes = 10 and leave the rest as it is: it is chosen for a training of that time.",
    "resize": "The sections below belong into a pix2pix.toml beside the pictures, in input_images.",
}


@click.command()
@click.argument("folder", metavar="[DIR]", type=click.Path(path_type=Path, file_okay=False), default=Path())
@with_session
def init(session: Session, folder: Path) -> None:
    """Set up repos for work in DIR (default: here), and write a commented pix2pix.toml to start from.

    The embedded store is DIR/.pix2pix unless --store or --pachd names another. What exists is left unchanged.
    """
    from pachyderm.client.connection import connect
    from pachyderm.dag.setup import set_up

    folder.mkdir(parents=True, exist_ok=True)
    given = session.store != Session.store
    target = dataclasses.replace(session, store=session.store if given else folder / session.store).target(create=True)
    with connect(target) as client:
        result = set_up(client)
    file = folder / FILE_NAME
    written = not file.exists()
    if written:
        file.write_text(template(), encoding="utf-8")
    document = {key: list(value) for key, value in dataclasses.asdict(result).items()}
    lines = [
        f"created {', '.join(result.created)}" if result.created else "the repos exist already",
        f"wrote {file}" if written else f"{file} exists and is unchanged",
        "next: pix2pix pairs PHOTOS pairs --operation edges, pix2pix put training pairs, pix2pix trigger --once",
    ]
    emit(session, {**document, "parameters": str(file)}, "\n".join(map(escape, lines)))


def template() -> str:
    """Return a parameters file whose values are all commented out."""
    from pix2pix.hyperparameters import SECTIONS

    lines: list[str] = []
    for section, names in FEW.items():
        lines += [f"# {line}" for line in HEADINGS.get(section, "").splitlines()]
        # A section of the other repo's file would be refused, so its heading is a comment too.
        lines.append(f"[{section}]" if section in ("train", "export") else f"# [{section}]")
        defaults = SECTIONS[section]()
        lines += [f"# {name} = {json.dumps(getattr(defaults, name))}" for name in names]
        lines.append("")
    return "\n".join(lines)
