"""The subcommands `generate` and `evaluate`: an exported model applied to a folder."""

from __future__ import annotations

import dataclasses
from pathlib import Path

import click

from cli.console import emit, print_message, progress, table
from cli.folders.metrics_text import metrics_text
from cli.folders.parameters import (
    FOLDER,
    LOADING,
    assignments_option,
    batch_size_option,
    parameters_option,
    require_folder,
    resolve_parameters,
)
from cli.folders.rejections import print_rejected, require_any
from cli.options import Session, with_session
from pix2pix.tensorflow import configure_tensorflow

WORST = 20
"""Pictures listed by `evaluate`; its page and --json have all of them."""


@click.command("evaluate")
@click.argument("model", metavar="MODEL", type=FOLDER)
@click.argument("source", metavar="INPUT", type=FOLDER)
@click.argument("output", metavar="OUTPUT", type=FOLDER)
@batch_size_option
@with_session
def evaluate(session: Session, model: Path, source: Path, output: Path, batch_size: int | None) -> None:
    """Measure an exported MODEL on the A|B pairs in INPUT: L1, PSNR and SSIM of each picture, the worst first.

    OUTPUT gets the generated pictures and a page that shows them.
    """
    parameters = resolve_parameters("generate", None, (), {"batch_size": batch_size})
    require_folder(source)
    print_message(session, LOADING)
    configure_tensorflow()
    from pix2pix.inference.evaluate import evaluate as evaluate_model

    with progress(session, "evaluate") as show:
        result = evaluate_model(model, source, output, parameters, progress=show)
    rows = [
        {"picture": picture.path, **{name: f"{value:.4f}" for name, value in picture.metrics.items()}}
        for picture in result.pictures[:WORST]
    ]
    lines = [
        table(["picture", "l1", "psnr", "ssim"], rows),
        "",
        f"mean of {len(result.pictures)}: {metrics_text(result.mean)}",
        f"gallery: {output / 'index.html'}",
    ]
    emit(session, dataclasses.asdict(result), "\n".join(lines))
    print_rejected(session, result.rejected)


@click.command("generate")
@click.argument("model", metavar="MODEL", type=FOLDER)
@click.argument("source", metavar="INPUT", type=FOLDER)
@click.argument("output", metavar="OUTPUT", type=FOLDER)
@batch_size_option
@parameters_option
@assignments_option
@with_session
def generate(
    session: Session,
    model: Path,
    source: Path,
    output: Path,
    batch_size: int | None,
    file: Path | None,
    assigned: tuple[str, ...],
) -> None:
    """Translate each picture in INPUT with an exported MODEL.

    Results are PNG files under the same paths in OUTPUT. Pictures that an earlier run generated with the same model
    from the same input are kept.
    """
    parameters = resolve_parameters("generate", file, assigned, {"batch_size": batch_size})
    require_folder(source)
    configure_tensorflow()
    from pix2pix.inference.generate import generate as generate_pictures

    with progress(session, "generate") as show:
        result = generate_pictures(model, source, output, parameters, progress=show)
    require_any(source, {**result.written, **result.kept}, result.rejected)
    kept = f", {len(result.kept)} kept (same model, same input)" if result.kept else ""
    text = f"{len(result.written)} pictures written{kept}; gallery: {output / 'index.html'}"
    emit(session, dataclasses.asdict(result), text)
    for warning in result.warnings:
        print_message(session, f"warning: {warning}")
    print_rejected(session, result.rejected)
