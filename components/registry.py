"""The stages with their code: the one table from a stage's name to its modules."""

from __future__ import annotations

from collections.abc import Mapping
from importlib import import_module

from pachyderm.dag.repos import PIPELINES, STAGES, StageSpec
from pachyderm.output.stage import Stage
from pix2pix.hyperparameters import SECTIONS

SPECS: Mapping[str, StageSpec] = {spec.name: spec for spec in STAGES}
"""Name -> stage as data, upstream first."""

PARAMETER_SECTIONS: Mapping[str, tuple[str, ...]] = {
    pipeline.source.repo: tuple(spec.name for spec in pipeline.stages if spec.name in SECTIONS)
    for pipeline in PIPELINES
}
"""Input repo -> sections of its parameters file: the stages of its pipeline that have hyperparameters."""


def stage(name: str) -> Stage:
    """The stage of a name, with its code, from ``components/<name>/stage.py``.

    Only the stage that is asked for is imported: a task loads no other stage's libraries.

    Raises:
        KeyError: there is no such stage.
    """
    if name not in SPECS:
        raise KeyError(f"stage not found: {name}; the stages are {', '.join(SPECS)}")
    found: Stage = import_module(f"components.{name}.stage").STAGE
    return found
