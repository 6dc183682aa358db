"""The subcommands `pairs` and `resize`: pictures prepared for the model."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import click

from cli.console import emit, progress
from cli.folders import rejections
from cli.folders.parameters import FOLDER, fit_option, labels_option, workers_option
from cli.options import Session, with_session


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
    help="What A is: a line drawing of B (edges), B in grey (grayscale), B with an empty square (blank), or the picture"
    " in INPUT with B taken from --target (combine). resize makes no pairs: it is the same as pix2pix resize.",
)
@click.option("--target", "partners", metavar="DIR", type=FOLDER, help="For combine: folder of B, with the same names.")
@click.option(
    "--size",
    metavar="PIXELS",
    type=int,
    help="Side of A and of B.  [default: 256; combine: unchanged, equal sizes required]",
)
@fit_option
@click.option("--only-input", is_flag=True, help="Write A alone: pictures to generate from, not to train on.")
@labels_option
@click.option("--target-labels", is_flag=True, help="--target has label maps.")
@workers_option
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
    """Make A|B pairs from the pictures in INPUT: A, the left half, is the model's input; B its target."""
    from pix2pix.datasets.operations import Operation, operate

    parameters = Operation(
        operation,
        size=size if size is not None or operation == "combine" else 256,
        fit=fit,
        only_input=only_input,
        labels=labels,
        target_labels=target_labels,
    )
    with progress(session, "pairs") as show:
        result = operate(parameters, source, output, partners=partners, workers=workers, progress=show)
    _report(session, source, output, result)


@click.command("resize")
@click.argument("source", metavar="INPUT", type=FOLDER)
@click.argument("output", metavar="OUTPUT", type=FOLDER)
@click.option("--size", metavar="PIXELS", type=int, default=256, show_default=True, help="Height of the result.")
@click.option("--width", metavar="PIXELS", type=int, default=0, help="Width of the result.  [default: as --size]")
@click.option(
    "--operation",
    type=click.Choice(["none", "edges", "grayscale"]),
    default="none",
    show_default=True,
    help="Make the model's inputs from photographs: line drawings, or pictures without colours.",
)
@fit_option
@click.option("--exact", is_flag=True, help="Decode large JPEGs at full size; about 1.5 times slower.")
@labels_option
@click.option(
    "--frames",
    type=click.Choice(["reject", "first"]),
    default="reject",
    show_default=True,
    help="For GIFs, animated PNGs and WebPs, and multi-page TIFFs: leave them out, or take the first frame.",
)
@click.option(
    "--range",
    "black_and_white",
    nargs=2,
    type=float,
    metavar="LOW HIGH",
    help="Values of black and white in grey TIFFs of floats or of 32-bit or signed integers.",
)
@workers_option
@with_session
def resize(
    session: Session,
    source: Path,
    output: Path,
    size: int,
    width: int,
    operation: str,
    fit: str,
    exact: bool,
    labels: bool,
    frames: str,
    black_and_white: tuple[float, float] | None,
    workers: int | None,
) -> None:
    """Convert the pictures in INPUT, of any format and size, to PNGs of one size under the same paths in OUTPUT."""
    from pix2pix.datasets.resize import resize_folder
    from pix2pix.hyperparameters import resolve

    values = {
        "size": size,
        "width": width,
        "operation": operation,
        "fit": fit,
        "exact": exact,
        "labels": labels,
        "frames": frames,
        "range": list(black_and_white or ()),
    }
    with progress(session, "resize") as show:
        result = resize_folder(source, output, resolve("resize", values), workers=workers, progress=show)
    _report(session, source, output, result)


def _report(session: Session, source: Path, output: Path, result: Any) -> None:
    """Print what was written and what was left out."""
    rejections.require_any(source, result.written, result.rejected)
    document = {
        "output": str(output),
        "written": len(result.written),
        "rejected": rejections.rows(result.rejected),
    }
    lines = [f"{len(result.written)} pictures written to {output}", *rejections.lines(result.rejected)]
    emit(session, document, "\n".join(lines))
