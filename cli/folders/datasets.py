"""The commands `pairs`, `split` and `resize`: folders of pictures in, folders of pictures out.

They exist so that a person with a folder of photographs needs nothing else to have something to train on.
"""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path
from typing import Any

import click

from cli.console import emit, progress, say, table
from cli.options import Session, with_session

FOLDER = click.Path(path_type=Path)


class OperationName(click.ParamType[str]):
    """The name of a picture operation; `Operation` refuses an unknown one."""

    name = "operation"

    def get_metavar(self, param: click.Parameter, ctx: click.Context) -> str:  # noqa: ARG002
        """List the operations in the help, which alone waits for NumPy and Pillow."""
        from pix2pix.datasets.operations import OPERATIONS

        return f"[{'|'.join(OPERATIONS)}]"


@click.command("pairs")
@click.argument("source", metavar="INPUT", type=FOLDER)
@click.argument("output", metavar="OUTPUT", type=FOLDER)
@click.option(
    "--operation",
    required=True,
    type=OperationName(),
    help="What A is: B's line drawing, B in gray, B with a blank square, or INPUT's picture beside --target's."
    " `resize` makes no pairs.",
)
@click.option("--target", "partners", metavar="DIR", type=FOLDER, help="For combine: the folder with B, same names.")
@click.option(
    "--size", type=int, help="Side of A and of B, pixels.  [default: 256; combine: as they are, equal sizes required]"
)
@click.option(
    "--fit",
    type=click.Choice(["crop", "pad"]),
    default="crop",
    show_default=True,
    help="The centre square, or all of it with bars.",
)
@click.option("--only-input", is_flag=True, help="Write A alone: pictures to generate from, not to train on.")
@click.option("--labels", is_flag=True, help="INPUT holds label maps: nearest neighbour, no label made up.")
@click.option("--target-labels", is_flag=True, help="--target holds label maps.")
@click.option("--workers", type=click.IntRange(1, 256), help="Threads.  [default: one per core]")
@with_session
def pairs(
    session: Session,
    source: Path,
    output: Path,
    operation: str,
    partners: Path | None,
    size: int | None,
    fit: str,
    only_input: bool,
    labels: bool,
    target_labels: bool,
    workers: int | None,
) -> None:
    """Make A|B pairs from the pictures in INPUT: A, the left half, is what a model is given; B what it shall make."""
    from pix2pix.datasets.operations import Operation, operate

    what = Operation(
        operation,
        size=size if size is not None or operation == "combine" else 256,
        fit=fit,
        only_input=only_input,
        labels=labels,
        target_labels=target_labels,
    )
    with progress(session, "pairs") as show:
        made = operate(what, source, output, partners=partners, workers=workers, progress=show)
    _report(session, source, output, made)


@click.command("resize")
@click.argument("source", metavar="INPUT", type=FOLDER)
@click.argument("output", metavar="OUTPUT", type=FOLDER)
@click.option("--size", type=int, default=256, show_default=True, help="Side of the result, pixels.")
@click.option(
    "--fit",
    type=click.Choice(["crop", "pad"]),
    default="crop",
    show_default=True,
    help="The centre square, or all of it on black.",
)
@click.option("--exact", is_flag=True, help="Decode large JPEGs in full; about 1.5 times as slow.")
@click.option("--labels", is_flag=True, help="The pictures are label maps: nearest neighbour, no label made up.")
@click.option(
    "--frames",
    type=click.Choice(["reject", "first"]),
    default="reject",
    show_default=True,
    help="GIFs, animated PNGs and WebPs, TIFFs of several pages: leave them out, or take the first frame.",
)
@click.option(
    "--range",
    "black_and_white",
    nargs=2,
    type=float,
    metavar="LOW HIGH",
    help="Black and white of grey TIFFs of floats, 32-bit or signed integers.",
)
@click.option("--workers", type=click.IntRange(1, 256), help="Threads.  [default: one per core]")
@with_session
def resize(
    session: Session,
    source: Path,
    output: Path,
    size: int,
    fit: str,
    exact: bool,
    labels: bool,
    frames: str,
    black_and_white: tuple[float, float] | None,
    workers: int | None,
) -> None:
    """Bring the pictures in INPUT, of any kind and size, to squares: PNG files under the same paths in OUTPUT."""
    from pix2pix.datasets.resize import resize_folder
    from pix2pix.hyperparameters import resolve

    parameters = resolve(
        "resize",
        {
            "size": size,
            "fit": fit,
            "exact": exact,
            "labels": labels,
            "frames": frames,
            "range": list(black_and_white or ()),
        },
    )
    with progress(session, "resize") as show:
        made = resize_folder(source, output, parameters, workers=workers, progress=show)
    _report(session, source, output, made)


@click.command("split")
@click.argument("source", metavar="INPUT", type=FOLDER)
@click.argument("output", metavar="OUTPUT", type=FOLDER)
@click.option("--train", type=float, default=0.8, show_default=True, help="Share of the pictures to train on.")
@click.option("--val", type=float, default=0.1, show_default=True, help="Share to choose a model by.")
@click.option("--test", type=float, help="Share to measure the model with.  [default: what the others leave]")
@click.option("--link", is_flag=True, help="Hard links instead of copies.")
@click.option("--workers", type=click.IntRange(1, 256), help="Threads.  [default: one per core]")
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
    """Split the pictures in INPUT into OUTPUT/train, /val and /test by their content.

    A picture never changes side when others are added, and equal files are never on two sides. Run again, only what is
    new is written.
    """
    from pix2pix.datasets.split import SIDES, Shares, split_folder

    shares = Shares(train, val, test)
    with progress(session, "split") as show:
        made = split_folder(source, output, shares, link=link, workers=workers, progress=show)
    require_some(source, made.sides, made.rejected)
    counts = {side: sum(1 for taken in made.sides.values() if taken == side) for side in SIDES}
    if made.stale:
        say(session, f"{len(made.stale)} files in {output} are no longer in {source}, among them {made.stale[0]}")
    document = {
        "output": str(output),
        **counts,
        "placed": made.placed,
        "moved": made.moved,
        "stale": list(made.stale),
        "rejected": _rows(made.rejected),
    }
    shown = ", ".join(f"{count} {side}" for side, count in counts.items())
    lines = [f"{shown} in {output} ({made.placed} written, {made.moved} moved)", *_listing(made.rejected)]
    emit(session, document, "\n".join(lines))


def _report(session: Session, source: Path, output: Path, made: Any) -> None:
    """Show what a command made and what it left out."""
    require_some(source, made.written, made.rejected)
    document = {"output": str(output), "written": len(made.written), "rejected": _rows(made.rejected)}
    lines = [f"{len(made.written)} pictures written to {output}", *_listing(made.rejected)]
    emit(session, document, "\n".join(lines))


def require_some(source: Path, done: Any, rejected: tuple[Any, ...]) -> None:
    """Refuse to call it success when not one picture could be used.

    Raises:
        InputError: nothing was `done`; the text names the first of those `rejected`.
    """
    from pix2pix.errors import InputError

    if not done:
        first = next((each for each in rejected if each.code != "NOT_A_PICTURE"), rejected[0])
        raise InputError(
            f"none of the {len(rejected)} files in {source} can be used;"
            f" the first, {first.path}: {first.code}, {first.reason}"
        )


def _listing(rejected: tuple[Any, ...]) -> Iterable[str]:
    if rejected:
        yield f"{len(rejected)} left out:"
        yield table(["code", "path", "reason"], _rows(rejected))


def _rows(rejected: tuple[Any, ...]) -> list[dict[str, str]]:
    return [{"path": each.path, "code": each.code, "reason": each.reason} for each in rejected]
