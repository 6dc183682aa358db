"""The table of stages: from a stage's name to its specification, parameters section and code."""

from __future__ import annotations

from collections.abc import Mapping
from importlib import import_module

from pachyderm.dag.repos import PIPELINES, STAGES, StageSpec
from pachyderm.output.stage import Stage
from pix2pix.hyperparameters import SECTIONS

SPECS: Mapping[str, StageSpec] = {spec.name: spec for spec in STAGES}
"""Name of a stage -> its specification, upstream first."""

PARAMETER_SECTIONS: Mapping[str, tuple[str, ...]] = {
    pipeline.source.repo: tuple(spec.name for spec in pipeline.stages if spec.name in SECTIONS)
    for pipeline in PIPELINES
}
"""Input repo -> sections of its parameters file: the stages of its pipeline that have hyperparameters."""


def stage(name: str) -> Stage:
    """Return a stage with its code, from ``components/<name>/stage.py``.

    Only that stage is imported, so that a task does not load the libraries of the others.

    Raises:
        KeyError: the stage is unknown.
    """
    if name not in SPECS:
        raise KeyError(f"stage not found: {name}; the stages are {', '.join(SPECS)}")
    found: Stage = import_module(f"components.{name}.stage").STAGE
    return found
