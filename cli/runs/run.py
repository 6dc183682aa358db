"""The subcommand `run`: one pipeline now, on this machine.

It exists for people; commits are run by `trigger`, through the same components.
"""

from __future__ import annotations

import json

import click

from cli.console import emit, say
from cli.options import Session, with_session
from pachyderm.errors import RequestError


@click.command()
@click.argument("pipeline")
@click.option("--commit-set", default="", metavar="ID|new", help="The set to fill.  [default: all that is open]")
@click.option(
    "-p", "--parameter", "parameters", multiple=True, metavar="NAME=VALUE", help="A hyperparameter of this run alone."
)
@with_session
def run(session: Session, pipeline: str, commit_set: str, parameters: tuple[str, ...]) -> None:
    """Run PIPELINE once, here: training_and_export, preprocessing_and_generation or image_to_image."""
    from components.parameters import parse_own
    from components.registry import SPECS
    from pachyderm.client.connection import connect
    from pachyderm.dag.references import resolve_any
    from pachyderm.dag.repos import PIPELINES
    from pachyderm.dag.setup import check_set_up
    from pix2pix.hyperparameters import parse_assignments
    from workflows.runners.compiled import named, shipped
    from workflows.runners.run_once import run_once

    named(shipped(), pipeline)
    source = {one.name: one.source.repo for one in PIPELINES}.get(pipeline)
    arguments: dict[str, str] = {}
    if parameters:
        given = parse_assignments(parameters)
        arguments["hyperparameters"] = json.dumps(parse_own(json.dumps(given), source))
    with connect(session.target()) as client:
        check_set_up(client)
        if commit_set:
            if source is None:
                raise RequestError(f"{pipeline} always takes the newest of each input; leave --commit-set out")
            arguments["commit_set"] = commit_set if commit_set == "new" else resolve_any(client, commit_set).id
    if parameters and commit_set not in ("", "new"):
        raise RequestError("hyperparameters open a fresh set; give -p or the id of a set, not both")
    result = run_once(
        pipeline, arguments, session.target(), session.store / "runs", show=lambda line: say(session, line)
    )
    outputs = {SPECS[task].output.repo: said["commit"] for task, said in result.outputs.items() if "commit" in said}
    good = result.state.phase == "succeeded"
    document = {
        "pipeline": pipeline,
        "run": result.run,
        "commit_set": next((said["commit_set"] for said in result.outputs.values() if said.get("commit_set")), None)
        or (next(iter(outputs.values())) if len(set(outputs.values())) == 1 else None)
        or (None if commit_set == "new" else arguments.get("commit_set")),
        "state": "good" if good else "failed",
        "error": result.state.error or None,
        "outputs": outputs,
    }
    text = "\n".join(f"{repo}@{commit}" for repo, commit in outputs.items())
    emit(session, document, text)
    if not good:
        click.echo(f"pix2pix: the run {result.run} failed: {result.state.error}; its log: {result.log}", err=True)
        raise click.exceptions.Exit(1)
