"""The subcommand `compile`: the pipelines as Kubeflow's YAML."""

from __future__ import annotations

import click

from cli.console import emit
from cli.options import Session, with_session


@click.command(name="compile")
@click.option("--check", is_flag=True, help="Write nothing; exit code 1 if a committed file is out of date.")
@with_session
def compile_pipelines(session: Session, check: bool) -> None:
    """Compile the pipelines to YAML files beside their sources."""
    from workflows.compile import compile_all, stale

    if not check:
        written = [path.name for path in compile_all()]
        emit(session, {"written": written}, "\n".join(written))
        return
    outdated = [path.name for path in stale()]
    text = f"out of date: {', '.join(outdated)}; run: pix2pix compile" if outdated else "up to date"
    emit(session, {"stale": outdated}, text)
    if outdated:
        raise click.exceptions.Exit(1)
