"""The subcommand `demo`: the whole workflow, as the commands that a person would type."""

from __future__ import annotations

import shutil
import time
from pathlib import Path

import click

from cli.console import emit, print_lines, table
from cli.options import Session, with_session
from pachyderm.errors import RequestError


@click.command()
@click.option(
    "--output", metavar="DIR", default="demo", show_default=True, type=click.Path(path_type=Path), help="Output folder."
)
@with_session
def demo(session: Session, output: Path) -> None:
    """Run the whole workflow on procedural facades, on an embedded store of its own, and write a report.

    Trains, generates, adds a picture, trains again with other parameters and lets the gate judge the new model, puts
    that into use by hand, and rolls back. Takes a few minutes on a laptop. An earlier demo in the output folder is
    replaced.
    """
    from cli.demo.report import LINEAGE, write_report
    from cli.demo.steps import STEPS, Demo

    _clear(output)
    start = time.monotonic()
    run = Demo(session, output)
    for step in STEPS:
        run.perform(step)
    run.write_lineage(output / LINEAGE)
    page = write_report(output, run.target(), run.rows, run.timeline.entries)
    if session.verbosity >= 0:
        print_lines(table(("step", "what", "moved", "ran", "seconds"), run.rows))
        print_lines(_closing(page, run.store, time.monotonic() - start))
    emit(session, {"steps": run.rows, "report": str(page)})


def _clear(output: Path) -> None:
    """Make an empty output folder; what is deleted must be an earlier demo."""
    if output.is_dir() and any(output.iterdir()):
        if not (output / "store").is_dir() or not (output / "source").is_dir():
            raise RequestError(f"{output} exists and is not the output of a demo; name another folder: --output")
        shutil.rmtree(output)
    elif output.exists() and not output.is_dir():
        raise RequestError(f"{output} is a file; name a folder: --output")
    output.mkdir(parents=True, exist_ok=True)


def _closing(page: Path, store: Path, seconds: float) -> str:
    command = f"pix2pix --store {store}"
    return (
        f"\nfinished in {seconds:.0f} s; the report is {page}\n\ncommands to try next\n"
        f"  {command} status\n  {command} models\n  {command} log generate_images\n"
        f"  {command} get generate_images pictures\n  {command} promote"
    )
