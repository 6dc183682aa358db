"""The subcommand `compile`: the pipelines as the YAML that Kubeflow takes.

It exists so that the committed YAML is never stale, which `--check` tells.
"""

from __future__ import annotations

import click

from cli.console import emit
from cli.options import Session, with_session


@click.command(name="compile")
@click.option("--check", is_flag=True, help="Change nothing; fail where a committed file is stale.")
@with_session
def compile_pipelines(session: Session, check: bool) -> None:
    """Compile the pipelines to the YAML beside them."""
    from workflows.compile import compile_all, stale

    if not check:
        written = [path.name for path in compile_all()]
        emit(session, {"written": written}, "\n".join(written))
        return
    old = [path.name for path in stale()]
    emit(session, {"stale": old}, f"stale: {', '.join(old)}; run: pix2pix compile" if old else "all are up to date")
    if old:
        raise click.exceptions.Exit(1)
