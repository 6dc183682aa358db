"""The four sections of hyperparameters by name, and the resolution of values over defaults."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from pix2pix.hyperparameters.export import ExportParameters
from pix2pix.hyperparameters.generate import GenerateParameters
from pix2pix.hyperparameters.resize import ResizeParameters
from pix2pix.hyperparameters.section import Section, convert, unknown
from pix2pix.hyperparameters.train import TrainParameters


@dataclass(frozen=True)
class Hyperparameters:
    """The four sections together, as in ``/pix2pix.toml``."""

    train: TrainParameters = field(default_factory=TrainParameters)
    export: ExportParameters = field(default_factory=ExportParameters)
    resize: ResizeParameters = field(default_factory=ResizeParameters)
    generate: GenerateParameters = field(default_factory=GenerateParameters)


SECTIONS: dict[str, type[Section]] = {
    "train": TrainParameters,
    "export": ExportParameters,
    "resize": ResizeParameters,
    "generate": GenerateParameters,
}
"""Name of a section -> its dataclass."""


def resolve(section: str, *layers: Mapping[str, object]) -> Any:
    """Lay values over the defaults.

    Args:
        section: ``train``, ``export``, ``resize`` or ``generate``.
        layers: names and values; later layers win.

    Returns:
        the section's dataclass.

    Raises:
        HyperparameterError: an unknown section or name, a value of another type or out of range; the message lists
            what is allowed.
    """
    values: dict[str, object] = {}
    for layer in layers:
        for name, value in layer.items():
            values[name] = check_value(section, name, value)
    return section_of(section)(**values)


def check_value(section: str, name: str, value: object) -> object:
    """Return a value in the type of its field.

    Raises:
        HyperparameterError: see `resolve`.
    """
    kind = section_of(section)
    if name not in kind.TYPES:
        raise unknown(f"hyperparameter of [{section}]", name, kind.TYPES)
    return convert(kind, name, value)


def section_of(name: str) -> type[Section]:
    """Return the dataclass of a section.

    Raises:
        HyperparameterError: the section is unknown.
    """
    if name not in SECTIONS:
        raise unknown("section", name, SECTIONS)
    return SECTIONS[name]
