"""The arguments that the trigger's configuration adds to each run of a pipeline: image, GPU, processors, place.

It exists so that what a cluster needs is said once, beside its address, and checked against the compiled pipeline: a
name that the pipeline does not have would otherwise end every commit set as failed.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from pachyderm.dag.repos import PIPELINES
from workflows.errors import RunInputError
from workflows.runners.compiled import CompiledPipeline, named, shipped

COMMIT_SET = "commit_set"
"""The pipelines' parameter that says which set to fill."""

RESERVED = (COMMIT_SET, "hyperparameters")
"""Parameters that belong to the commit set; the trigger gives the first, and the second is data in Pachyderm."""

Arguments = Mapping[str, Mapping[str, str]]
"""Pipeline -> parameter -> value as text."""

_SECTION = "kubeflow.arguments"


def merged(before: Arguments, given: Any, source: str) -> dict[str, dict[str, str]]:
    """Lay arguments over earlier ones.

    Args:
        before: those that hold so far.
        given: the section ``[kubeflow.arguments]``.
        source: what it was read from, for messages.

    Raises:
        RunInputError: a pipeline or parameter that is not there or is not to be set here, or a value that is no text,
            is empty, or is not of the parameter's type.
    """
    if not isinstance(given, Mapping) or not all(isinstance(values, Mapping) for values in given.values()):
        raise RunInputError(f"{source}: arguments stand in sections, [{_SECTION}.{PIPELINES[0].name}]")
    made = {pipeline: dict(values) for pipeline, values in before.items()}
    for pipeline, values in given.items():
        if pipeline not in _names():
            raise RunInputError(f"{source}: no pipeline {pipeline} in [{_SECTION}]; there are {', '.join(_names())}")
        _check(pipeline, values, source)
        made[pipeline] = {**made.get(pipeline, {}), **values}
    return made


def places() -> Iterator[tuple[str, str]]:
    """Each pipeline of the trigger with each of its parameters that may be set.

    Raises:
        RunInputError: a compiled pipeline cannot be read.
    """
    return ((pipeline, name) for pipeline in _names() for name in _settable(named(shipped(), pipeline)))


def _settable(package: CompiledPipeline) -> tuple[str, ...]:
    return tuple(sorted(set(package.parameters) - set(RESERVED)))


def _names() -> tuple[str, ...]:
    return tuple(pipeline.name for pipeline in PIPELINES)


def _check(pipeline: str, values: Mapping[str, Any], source: str) -> None:
    package = named(shipped(), pipeline)
    allowed = _settable(package)
    for name, value in values.items():
        place = f"{_SECTION}.{pipeline}.{name}"
        if name in RESERVED:
            raise RunInputError(f"{source}: {place} belongs to the commit set; there are {', '.join(allowed)}")
        if name not in allowed:
            raise RunInputError(f"{source}: unknown setting {place}; there are {', '.join(allowed)}")
        if not isinstance(value, str):
            raise RunInputError(f"{source}: {place} = {value!r} is no text; lists and tables are JSON in quotes")
        if not value:
            # Kubeflow would run without a GPU, or hang while it pulls the image (seen).
            raise RunInputError(f"{source}: {place} is empty; leave it out for the pipeline's own default")
        try:
            package.typed({name: value})
        except RunInputError as error:
            raise RunInputError(f"{source}: [{_SECTION}.{pipeline}] {error}") from error
