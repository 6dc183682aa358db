"""The four sections of hyperparameters by name, and the resolution of values over defaults."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from pix2pix.hyperparameters.export import ExportParameters
from pix2pix.hyperparameters.generate import GenerateParameters
from pix2pix.hyperparameters.resize import ResizeParameters
from pix2pix.hyperparameters.section import Section, unknown
from pix2pix.hyperparameters.train import TrainParameters


@dataclass(frozen=True)
class Hyperparameters:
    """The four sections together, as in ``/pix2pix.toml``."""

    train: TrainParameters = field(default_factory=TrainParameters)
    export: ExportParameters = field(default_factory=ExportParameters)
    resize: ResizeParameters = field(default_factory=ResizeParameters)
    generate: GenerateParameters = field(default_factory=GenerateParameters)


SECTIONS: dict[str, type[Section]] = {
    section.NAME: section for section in (TrainParameters, ExportParameters, ResizeParameters, GenerateParameters)
}
"""Name of a section -> its dataclass."""


def resolve(section: str, *layers: Mapping[str, object]) -> Any:
    """Lay values over the defaults of a section.

    Args:
        section: ``train``, ``export``, ``resize`` or ``generate``.
        layers: names and values; later layers win.

    Returns:
        the section's dataclass.

    Raises:
        HyperparameterError: an unknown section or name, a value of another type or out of range; the message states
            what is allowed.
    """
    return section_of(section).of(*layers)


def check_value(section: str, name: str, value: object) -> None:
    """Refuse an unknown name, or a value of another type or out of range.

    Raises:
        HyperparameterError: see `resolve`.
    """
    section_of(section).convert(name, value)


def section_of(name: str) -> type[Section]:
    """Return the dataclass of a section.

    Raises:
        HyperparameterError: the section is unknown.
    """
    if name not in SECTIONS:
        raise unknown("section", name, SECTIONS)
    return SECTIONS[name]
