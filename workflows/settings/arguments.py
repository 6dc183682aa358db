"""Run arguments from the trigger's configuration (image, GPU, memory, ...), checked against the compiled pipelines."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from components.form import UNSET
from pachyderm.dag.repos import PIPELINES
from workflows.errors import RunInputError
from workflows.runners.compiled import CompiledPipeline, named, shipped
from workflows.settings.values import check_name

COMMIT_SET = "commit_set"
"""The pipeline parameter that names the commit set to fill."""

RESERVED = (COMMIT_SET, "hyperparameters", *UNSET)
"""Parameters that belong to the commit set: the trigger passes the first, and the others are data in Pachyderm."""

Arguments = Mapping[str, Mapping[str, str]]
"""Pipeline -> parameter -> value as text."""

_SECTION = "kubeflow.arguments"


def merged(before: Arguments, given: Any, source: str) -> dict[str, dict[str, str]]:
    """Lay arguments over earlier ones.

    An argument that the pipeline does not take is refused here: at run time it would end every commit set as failed.

    Args:
        before: the arguments so far.
        given: the section ``[kubeflow.arguments]``.
        source: file or environment that holds it, for messages.

    Raises:
        RunInputError: a pipeline or parameter that does not exist or cannot be set here, or a value that is not text,
            is empty or does not have the parameter's type.
    """
    if not isinstance(given, Mapping) or not all(isinstance(values, Mapping) for values in given.values()):
        raise RunInputError(f"{source}: arguments must be in sections such as [{_SECTION}.{PIPELINES[0].name}]")
    result = {pipeline: dict(values) for pipeline, values in before.items()}
    for pipeline, values in given.items():
        check_name(pipeline, _pipelines(), f"{source}: unknown pipeline {pipeline} in [{_SECTION}]")
        _check(pipeline, values, source)
        result[pipeline] = {**result.get(pipeline, {}), **values}
    return result


def settable_arguments() -> Iterator[tuple[str, str]]:
    """Yield each pipeline of the trigger with each of its parameters that may be set.

    Raises:
        RunInputError: a compiled pipeline cannot be read.
    """
    return ((pipeline, name) for pipeline in _pipelines() for name in _settable(named(shipped(), pipeline)))


def _settable(package: CompiledPipeline) -> tuple[str, ...]:
    return tuple(sorted(set(package.parameters) - set(RESERVED)))


def _pipelines() -> tuple[str, ...]:
    return tuple(pipeline.name for pipeline in PIPELINES)


def _check(pipeline: str, values: Mapping[str, Any], source: str) -> None:
    package = named(shipped(), pipeline)
    allowed = _settable(package)
    for name, value in values.items():
        setting = f"{_SECTION}.{pipeline}.{name}"
        if name in RESERVED and name in package.parameters:
            raise RunInputError(f"{source}: {setting} belongs to the commit set; allowed: {', '.join(allowed)}")
        check_name(name, allowed, f"{source}: unknown setting {setting}")
        if not isinstance(value, str):
            raise RunInputError(
                f"{source}: {setting} = {value!r} is not text; put it in quotes, lists and tables as JSON"
            )
        if not value:
            # Kubeflow 2.17 would run without a GPU, or hang while it pulls an image without a name.
            raise RunInputError(f"{source}: {setting} is empty; leave it out for the pipeline's own default")
        try:
            package.typed({name: value})
        except RunInputError as error:
            raise RunInputError(f"{source}: [{_SECTION}.{pipeline}] {error}") from error
