"""The subcommand `run`: one run of a pipeline on this machine."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

import click

from cli.console import emit, print_error, print_message, shorten
from cli.options import Session, with_session
from pachyderm.errors import RequestError
from pix2pix.escaping import escape

if TYPE_CHECKING:
    from workflows.runners.run_once import RunResult


@click.command()
@click.argument("pipeline")
@click.option(
    "--commit-set",
    default="",
    metavar="SET|new",
    help="Commit set to fill; new opens one for the newest inputs.  [default: every open one]",
)
@click.option(
    "-p",
    "--parameter",
    "parameters",
    multiple=True,
    metavar="NAME=VALUE",
    help="Set a hyperparameter for this run alone, in a new commit set; repeatable.",
)
@click.option(
    "--shards",
    metavar="N|auto",
    help="Number of tasks that share the work of resize, and of generate.  [default: auto]",
)
@with_session
def run(session: Session, pipeline: str, commit_set: str, parameters: tuple[str, ...], shards: str | None) -> None:
    """Run PIPELINE once, on this machine.

    PIPELINE is training_and_export, preprocessing_and_generation or image_to_image.
    """
    from workflows.runners.compiled import named, shipped
    from workflows.runners.run_once import run_once

    package = named(shipped(), pipeline)
    chosen = _shards(shards)
    package.typed(chosen)
    arguments = {**_arguments(session, pipeline, commit_set, parameters), **chosen}
    result = run_once(
        pipeline,
        arguments,
        session.target(),
        session.store / "runs",
        show=lambda line: print_message(session, line),
    )
    document = _document(pipeline, arguments, result)
    text = "\n".join(shorten(session, escape(f"{repo}@{commit}")) for repo, commit in document["outputs"].items())
    emit(session, document, text)
    if document["state"] == "failed":
        print_error(f"pix2pix: the run {result.run} failed: {result.state.error}; log: {result.log}")
        raise click.exceptions.Exit(1)


def _shards(shards: str | None) -> dict[str, str]:
    from pachyderm.shards.cut import parse

    if shards is None:
        return {}
    parse(shards)
    return {"shards": shards}


def _arguments(session: Session, pipeline: str, commit_set: str, parameters: tuple[str, ...]) -> dict[str, str]:
    """Return the arguments of the pipeline; wrong ones are refused before a run is made."""
    from components.parameters import parse_own
    from pachyderm.client.connection import connect
    from pachyderm.dag.references import resolve_any
    from pachyderm.dag.repos import PIPELINES
    from pachyderm.dag.setup import check_set_up
    from pix2pix.hyperparameters import parse_assignments

    source = {known.name: known.source.repo for known in PIPELINES}.get(pipeline)
    arguments: dict[str, str] = {}
    if parameters:
        assigned = parse_assignments(parameters)
        arguments["hyperparameters"] = json.dumps(parse_own(json.dumps(assigned), source))
    with connect(session.target()) as client:
        check_set_up(client)
        if commit_set:
            if source is None:
                raise RequestError(f"{pipeline} always takes the newest commit of each input; omit --commit-set")
            arguments["commit_set"] = commit_set if commit_set == "new" else resolve_any(client, commit_set).id
    if parameters and commit_set not in ("", "new"):
        raise RequestError("-p opens a new commit set and --commit-set names an existing one; give one of the two")
    return arguments


def _document(pipeline: str, arguments: dict[str, str], result: RunResult) -> dict[str, Any]:
    from components.registry import SPECS

    outputs = {
        SPECS[task].output.repo: values["commit"] for task, values in result.outputs.items() if "commit" in values
    }
    return {
        "pipeline": pipeline,
        "run": result.run,
        "commit_set": _commit_set(arguments, result, outputs),
        "state": "good" if result.state.phase == "succeeded" else "failed",
        "error": result.state.error or None,
        "outputs": outputs,
    }


def _commit_set(arguments: dict[str, str], result: RunResult, outputs: dict[str, str]) -> str | None:
    """Return the commit set that the run filled, as reported by its tasks, else by its outputs or arguments."""
    reported = [values["commit_set"] for values in result.outputs.values() if values.get("commit_set")]
    if reported:
        return reported[0]
    commits = set(outputs.values())
    if len(commits) == 1:
        return commits.pop()
    argument = arguments.get("commit_set")
    return None if argument == "new" else argument
