"""The subcommands `train` and `export`: from a folder of pairs to a SavedModel."""

from __future__ import annotations

import dataclasses
from pathlib import Path

import click

from cli.console import emit, print_message, progress
from cli.folders.metrics_text import metrics_text
from cli.folders.parameters import (
    FOLDER,
    LOADING,
    assignments_option,
    given_parameters,
    parameters_option,
    require_folder,
    resolve_parameters,
)
from cli.folders.rejections import print_rejected
from cli.options import Session, with_session
from pix2pix.escaping import escape
from pix2pix.stop_request import stop_on_signal
from pix2pix.tensorflow import configure_tensorflow


@click.command("train")
@click.argument("source", metavar="INPUT", type=FOLDER)
@click.argument("output", metavar="OUTPUT", type=FOLDER)
@parameters_option
@assignments_option
@click.option("--minutes", metavar="N", type=float, help="Choose size, filters and steps for a training of N minutes.")
@click.option(
    "--init-from",
    "checkpoint",
    metavar="CHECKPOINT",
    type=FOLDER,
    help="Begin with the weights of this checkpoint, or OUTPUT of a training, instead of those that the seed gives.",
)
@with_session
def train(
    session: Session,
    source: Path,
    output: Path,
    file: Path | None,
    assigned: tuple[str, ...],
    minutes: float | None,
    checkpoint: Path | None,
) -> None:
    """Train a model on the A|B pairs in INPUT; checkpoint, samples, metrics and report.html are written to OUTPUT.

    The same command resumes an interrupted training. SIGTERM and Ctrl-C save a checkpoint first; a second Ctrl-C stops
    at once.
    """
    given = given_parameters("train", file, assigned, {"minutes": minutes})
    require_folder(source)
    if checkpoint is not None:
        require_folder(checkpoint)
    with stop_on_signal() as stop:
        print_message(session, LOADING)
        configure_tensorflow()
        from pix2pix.budget.settling import settled
        from pix2pix.hyperparameters.budget import open_names
        from pix2pix.training.first_weights import EarlierModel
        from pix2pix.training.train import train as train_model

        parameters = settled(source, output, given)
        chosen = [f"{name} = {getattr(parameters, name)}" for name in open_names(given, parameters.minutes)]
        if chosen:
            print_message(session, f"chosen for {parameters.minutes:g} minutes: {', '.join(chosen)}")
        earlier = EarlierModel(checkpoint, str(checkpoint)) if checkpoint is not None else None
        with progress(session, "train") as show:
            result = train_model(source, output, parameters, earlier=earlier, progress=show, stop=stop)
    print_rejected(session, result.rejected)
    for note in result.notes:
        print_message(session, f"note: {note}")
    if not result.finished:
        print_message(session, f"stopped at step {result.step}; run the same command again to resume")
    text = f"{result.step} steps on {result.train_pairs} pairs ({result.held_out_pairs} held out)"
    text += f" in {result.seconds:.0f} s\n{metrics_text(result.metrics)}\nreport: {output / 'report.html'}"
    document = dataclasses.asdict(result)
    if result.check:
        del document["check"]["pictured"]  # they are in the report
    emit(session, document, text)
    if not result.finished:
        raise KeyboardInterrupt


@click.command("export")
@click.argument("checkpoint", metavar="CHECKPOINT", type=FOLDER)
@click.argument("output", metavar="OUTPUT", type=FOLDER)
@parameters_option
@assignments_option
@with_session
def export(session: Session, checkpoint: Path, output: Path, file: Path | None, assigned: tuple[str, ...]) -> None:
    """Export CHECKPOINT, or the OUTPUT of `train`, as a SavedModel in OUTPUT/<version>/."""
    parameters = resolve_parameters("export", file, assigned)
    require_folder(checkpoint)
    print_message(session, LOADING)
    configure_tensorflow()
    from pix2pix.inference.export import export as export_model

    with progress(session, "export") as show:
        result = export_model(checkpoint, output, parameters, progress=show)
    for warning in result.warnings:
        print_message(session, f"warning: {warning}")
    document = {**dataclasses.asdict(result), "folder": str(result.folder)}
    emit(session, document, f"{escape(str(result.folder))}: step {result.step}, {result.size / 1e6:.1f} MB")
