"""The subcommand `compile`: the pipelines as Kubeflow's YAML."""

from __future__ import annotations

from pathlib import Path

import click

from cli.console import emit
from cli.options import Session, with_session
from pix2pix.escaping import escape


@click.command(name="compile")
@click.option(
    "-o",
    "--output",
    "folder",
    metavar="DIR",
    type=click.Path(path_type=Path, file_okay=False),
    help="Folder for the YAML files.  [default: beside their sources, in a clone of the repository]",
)
@click.option("--check", is_flag=True, help="Write nothing; exit code 1 if a file is missing or out of date.")
@click.option("--queue", metavar="NAME", help="Kueue's LocalQueue for the pods of all tasks; needs -o.")
@with_session
def compile_pipelines(session: Session, folder: Path | None, check: bool, queue: str | None) -> None:
    """Compile the pipelines to one YAML file each.

    With --check, files that differ only in the version of kfp's SDK count as up to date.
    """
    from workflows.compile import BESIDE, compile_all, output_folder, stale
    from workflows.runners.compiled import in_queue

    if queue is not None and (folder is None or check):
        raise click.UsageError("--queue needs -o DIR and no --check: the files of the repository are in no queue")
    if not check:
        compiled = compile_all(output_folder(folder))
        if queue is not None:
            in_queue({path.stem: path for path in compiled}, queue, compiled[0].parent)
        written = [path if folder else Path(path.name) for path in compiled]
        emit(session, {"written": [str(path) for path in written]}, "\n".join(escape(str(path)) for path in written))
        return
    outdated = [path.name for path in stale(folder or BESIDE)]
    text = f"out of date: {', '.join(outdated)}; run: pix2pix compile" if outdated else "up to date"
    emit(session, {"stale": outdated}, text)
    if outdated:
        raise click.exceptions.Exit(1)
