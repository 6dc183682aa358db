"""The commands `train`, `evaluate`, `export` and `generate`: the model on plain folders.

They exist so that pix2pix is worth having without Kubeflow and without Pachyderm.
"""

from __future__ import annotations

import dataclasses
import signal
import threading
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import click

from cli.console import emit, progress, say, table
from cli.folders.datasets import require_some
from cli.options import Session, with_session
from pix2pix.tensorflow import configure_tensorflow

FOLDER = click.Path(path_type=Path)

parameters_of = click.option(
    "--parameters",
    "file",
    metavar="FILE",
    type=click.Path(path_type=Path),
    help="A TOML file with [train], [export], [resize], [generate], as in a repo; -p wins over it.",
)
assignments = click.option(
    "-p", "assigned", metavar="NAME=VALUE", multiple=True, help="One hyperparameter; repeatable."
)


@click.command("train")
@click.argument("source", metavar="INPUT", type=FOLDER)
@click.argument("output", metavar="OUTPUT", type=FOLDER)
@parameters_of
@assignments
@with_session
def train(session: Session, source: Path, output: Path, file: Path | None, assigned: tuple[str, ...]) -> None:
    """Train on the A|B pairs in INPUT; checkpoint, samples, metrics and report.html go to OUTPUT.

    Started again with the same arguments it goes on where it stopped. SIGTERM and Ctrl-C save first.
    """
    parameters = _resolve("train", file, assigned)
    _require_folder(source)
    with _interruption() as stop:
        configure_tensorflow()
        from pix2pix.training.train import train as work

        with progress(session, "train") as show:
            made = work(source, output, parameters, progress=show, stop=stop.is_set)
    _say_rejected(session, made.rejected)
    for note in made.notes:
        say(session, f"note: {note}")
    if not made.finished:
        say(session, f"stopped at step {made.step}; the same command goes on from there")
    text = f"{made.step} steps on {made.train_pairs} pairs ({made.held_out_pairs} held out), {made.seconds:.0f} s"
    emit(session, dataclasses.asdict(made), f"{text}\n{_figures(made.metrics)}\nsee {output / 'report.html'}")
    if not made.finished:
        raise KeyboardInterrupt


@click.command("evaluate")
@click.argument("model", metavar="MODEL", type=FOLDER)
@click.argument("source", metavar="INPUT", type=FOLDER)
@click.argument("output", metavar="OUTPUT", type=FOLDER)
@click.option("--batch-size", type=int, help="Pictures at once.  [default: 8]")
@with_session
def evaluate(session: Session, model: Path, source: Path, output: Path, batch_size: int | None) -> None:
    """Measure an exported MODEL on the A|B pairs in INPUT: L1, PSNR and SSIM of each, the worst first."""
    parameters = _resolve("generate", None, (), {"batch_size": batch_size})
    _require_folder(source)
    configure_tensorflow()
    from pix2pix.inference.evaluate import evaluate as work

    with progress(session, "evaluate") as show:
        made = work(model, source, output, parameters, progress=show)
    rows = [{"picture": p.path, **{k: f"{v:.4f}" for k, v in p.metrics.items()}} for p in made.pictures[:20]]
    lines = [table(["picture", "l1", "psnr", "ssim"], rows), "", f"mean of {len(made.pictures)}: {_figures(made.mean)}"]
    lines.append(f"see {output / 'index.html'}")
    emit(session, dataclasses.asdict(made), "\n".join(lines))
    _say_rejected(session, made.rejected)


@click.command("export")
@click.argument("checkpoint", metavar="CHECKPOINT", type=FOLDER)
@click.argument("output", metavar="OUTPUT", type=FOLDER)
@parameters_of
@assignments
@with_session
def export(session: Session, checkpoint: Path, output: Path, file: Path | None, assigned: tuple[str, ...]) -> None:
    """Export a CHECKPOINT (or the folder that `train` wrote) as a SavedModel: OUTPUT/<version>/."""
    parameters = _resolve("export", file, assigned)
    _require_folder(checkpoint)
    configure_tensorflow()
    from pix2pix.inference.export import export as work

    made = work(checkpoint, output, parameters)
    document = {**dataclasses.asdict(made), "folder": str(made.folder)}
    emit(session, document, f"{made.folder}: step {made.step}, {made.size / 1e6:.1f} MB")


@click.command("generate")
@click.argument("model", metavar="MODEL", type=FOLDER)
@click.argument("source", metavar="INPUT", type=FOLDER)
@click.argument("output", metavar="OUTPUT", type=FOLDER)
@click.option("--batch-size", type=int, help="Pictures at once.  [default: 8]")
@parameters_of
@assignments
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
    """Translate each picture in INPUT with an exported MODEL; results go to OUTPUT under the same paths, as PNG."""
    parameters = _resolve("generate", file, assigned, {"batch_size": batch_size})
    _require_folder(source)
    configure_tensorflow()
    from pix2pix.inference.generate import generate as work

    with progress(session, "generate") as show:
        made = work(model, source, output, parameters, progress=show)
    require_some(source, {**made.written, **made.kept}, made.rejected)
    kept = f", {len(made.kept)} kept (same model, same input)" if made.kept else ""
    emit(session, dataclasses.asdict(made), f"{len(made.written)} pictures written{kept}; see {output / 'index.html'}")
    _say_rejected(session, made.rejected)


def _resolve(
    section: str, file: Path | None, assigned: tuple[str, ...], options: Mapping[str, Any] | None = None
) -> Any:
    from pix2pix.errors import InputError
    from pix2pix.hyperparameters import parse, parse_assignments, resolve
    from pix2pix.toml_text import TomlError, decode

    values: Mapping[str, object] = {}
    if file is not None:
        try:
            values = parse(decode(file.read_bytes()), str(file), besides=_of_the_pipelines()).get(section, {})
        except (OSError, TomlError) as error:
            reason = error.strerror if isinstance(error, OSError) else error
            raise InputError(f"the parameters' file {file} cannot be read: {reason}") from error
    given = {name: value for name, value in (options or {}).items() if value is not None}
    return resolve(section, values, parse_assignments(assigned), given)


def _of_the_pipelines() -> tuple[str, ...]:
    """What a repo's parameters file also says: how pipelines run, and nothing about the model."""
    from components.parameters import POLICY, PROMOTE

    return (POLICY, f"export.{PROMOTE}")


def _require_folder(folder: Path) -> None:
    """Refuse what is no folder before the seconds that TensorFlow needs to start."""
    from pix2pix.errors import InputError

    if not folder.is_dir():
        problem = "is a file; name a folder" if folder.exists() else "does not exist; name one that does"
        raise InputError(f"the folder {folder} {problem}" if not folder.exists() else f"{folder} {problem}")


def _figures(metrics: Mapping[str, float]) -> str:
    units = {"l1": "L1 {:.4f}", "psnr": "PSNR {:.2f} dB", "ssim": "SSIM {:.4f}"}
    return (
        ", ".join(text.format(metrics[name]) for name, text in units.items() if name in metrics) or "nothing measured"
    )


def _say_rejected(session: Session, rejected: tuple[Any, ...]) -> None:
    for rejection in rejected:
        say(session, f"left out: {rejection.path}: {rejection.reason} ({rejection.code})")


@contextmanager
def _interruption() -> Iterator[threading.Event]:
    """Turn SIGTERM and the first Ctrl-C into a request to stop; a second Ctrl-C ends at once."""
    asked = threading.Event()

    def ask(number: int, _frame: object) -> None:
        if asked.is_set() and number == signal.SIGINT:
            raise KeyboardInterrupt
        asked.set()

    before = {number: signal.signal(number, ask) for number in (signal.SIGTERM, signal.SIGINT)}
    try:
        yield asked
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)
