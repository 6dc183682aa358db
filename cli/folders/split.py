"""The subcommand `split`: a folder of pictures into train, val and test."""

from __future__ import annotations

from pathlib import Path

import click

from cli.console import emit, print_message, progress
from cli.folders import rejections
from cli.folders.parameters import FOLDER, workers_option
from cli.options import Session, with_session


@click.command("split")
@click.argument("source", metavar="INPUT", type=FOLDER)
@click.argument("output", metavar="OUTPUT", type=FOLDER)
@click.option(
    "--train",
    metavar="SHARE",
    type=float,
    default=0.8,
    show_default=True,
    help="Share of pictures to train on, 0 to 1.",
)
@click.option("--val", metavar="SHARE", type=float, default=0.1, show_default=True, help="Share to choose a model by.")
@click.option("--test", metavar="SHARE", type=float, help="Share to measure the model on.  [default: the rest]")
@click.option("--link", is_flag=True, help="Make hard links instead of copies.")
@workers_option
@with_session
def split(
    session: Session,
    source: Path,
    output: Path,
    train: float,
    val: float,
    test: float | None,
    link: bool,
    workers: int | None,
) -> None:
    """Split the pictures in INPUT by their content into OUTPUT/train, OUTPUT/val and OUTPUT/test.

    Identical and nearly identical pictures are always on the same side. A picture does not change sides when others
    are added, unless one of them nearly equals it. Running the command again writes only new pictures.
    """
    from pix2pix.datasets.split import SIDES, Shares, split_folder

    shares = Shares(train, val, test)
    with progress(session, "split") as show:
        result = split_folder(source, output, shares, link=link, workers=workers, progress=show)
    rejections.require_any(source, result.sides, result.rejected)
    counts = {side: sum(placed == side for placed in result.sides.values()) for side in SIDES}
    if result.stale:
        print_message(
            session, f"{len(result.stale)} files in {output} are no longer in {source}, among them {result.stale[0]}"
        )
    document = {
        "output": str(output),
        **counts,
        "placed": result.placed,
        "moved": result.moved,
        "copies": result.copies,
        "stale": list(result.stale),
        "rejected": rejections.rows(result.rejected),
    }
    sides = ", ".join(f"{count} {side}" for side, count in counts.items())
    text = f"{sides} in {output} ({result.placed} written, {result.moved} moved)"
    if result.copies:
        text += f"; {result.copies} nearly equal another one and are on its side"
    emit(session, document, "\n".join([text, *rejections.lines(result.rejected)]))
