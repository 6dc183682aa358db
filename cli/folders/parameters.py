"""The options and arguments for hyperparameters and folders that several subcommands share."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import click

LOADING = "loading TensorFlow"
"""Printed before the seconds that this takes."""

FOLDER = click.Path(path_type=Path)

parameters_option = click.option(
    "--parameters",
    "file",
    metavar="FILE",
    type=click.Path(path_type=Path),
    help="TOML file with sections [train], [export], [resize] and [generate], as in a repo; -p takes precedence.",
)
assignments_option = click.option(
    "-p", "assigned", metavar="NAME=VALUE", multiple=True, help="Set a hyperparameter; repeatable."
)
batch_size_option = click.option("--batch-size", metavar="N", type=int, help="Pictures per batch.  [default: 8]")
fit_option = click.option(
    "--fit",
    type=click.Choice(["crop", "pad"]),
    default="crop",
    show_default=True,
    help="Take the centre square, or the whole picture with black bars.",
)
labels_option = click.option(
    "--labels", is_flag=True, help="INPUT has label maps: scale by nearest neighbour, inventing no labels."
)
workers_option = click.option(
    "--workers", metavar="N", type=click.IntRange(1, 256), help="Number of threads.  [default: one per core]"
)


def resolve_parameters(
    section: str, file: Path | None, assigned: tuple[str, ...], options: Mapping[str, Any] | None = None
) -> Any:
    """Resolve the hyperparameters of a section over the defaults; arguments and errors as for `given_parameters`."""
    from pix2pix.hyperparameters import resolve

    return resolve(section, given_parameters(section, file, assigned, options))


def given_parameters(
    section: str, file: Path | None, assigned: tuple[str, ...], options: Mapping[str, Any] | None = None
) -> dict[str, object]:
    """Return the hyperparameters of a section that were set; precedence: `options`, `assigned`, the file.

    Args:
        section: ``train``, ``export`` or ``generate``.
        file: a TOML parameters file.
        assigned: values given as ``NAME=VALUE``.
        options: values of options of their own; None means not given.

    Raises:
        InputError: the file cannot be read.
        HyperparameterError: a name or value is invalid.
    """
    from pix2pix.errors import InputError
    from pix2pix.hyperparameters import parse, parse_assignments, resolve
    from pix2pix.toml_text import TomlError, decode

    values: Mapping[str, object] = {}
    if file is not None:
        try:
            values = parse(decode(file.read_bytes()), str(file), besides=_pipeline_settings()).get(section, {})
        except (OSError, TomlError) as error:
            reason = error.strerror if isinstance(error, OSError) else error
            raise InputError(f"the parameters file {file} cannot be read: {reason}") from error
    set_by_options = {name: value for name, value in (options or {}).items() if value is not None}
    given = {**values, **parse_assignments(assigned), **set_by_options}
    resolve(section, given)
    return given


def _pipeline_settings() -> tuple[str, ...]:
    """Return the entries of a repo's parameters file that control pipelines and not the model."""
    from components.parameters import POLICY, ExportPolicy

    return (POLICY, *(f"export.{name}" for name in ExportPolicy.TYPES))


def require_folder(folder: Path) -> None:
    """Refuse a path that is not a folder before the seconds that loading TensorFlow takes.

    Raises:
        InputError: the folder does not exist, or is a file.
    """
    from pix2pix.errors import InputError

    if not folder.exists():
        raise InputError(f"the folder {folder} does not exist; name one that does")
    if not folder.is_dir():
        raise InputError(f"{folder} is a file; name a folder")
