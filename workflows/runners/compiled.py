"""Compiled pipelines (Kubeflow's IR YAML): parameters with types, tasks, and a digest that identifies the version.

Arguments are validated against it before anything starts: Kubeflow refuses undeclared parameters and wrong types late.
"""

from __future__ import annotations

import hashlib
import json
import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import yaml

from components.train.trainjob.manifest import QUEUE_LABEL
from workflows.errors import RunInputError

_QUEUE = re.compile(r"[a-z0-9]([-a-z0-9.]{0,61}[a-z0-9])?")

_LOADER: Any = getattr(yaml, "CSafeLoader", yaml.SafeLoader)


@dataclass(frozen=True)
class PipelineParameter:
    """A parameter of a pipeline.

    Attributes:
        type: as in the spec: STRING, NUMBER_INTEGER, NUMBER_DOUBLE, BOOLEAN, LIST or STRUCT.
        required: whether it has no default.
    """

    name: str
    type: str
    required: bool


@dataclass(frozen=True)
class CompiledPipeline:
    """A compiled pipeline.

    Attributes:
        name: name under which it is uploaded and configured: that of its file. (In the spec, `kfp` replaces the
            underscores by hyphens.)
        path: the YAML file.
        digest: first 12 hex digits of the SHA-256 of the file.
        parameters: name -> parameter.
        tasks: name of each task of its DAG -> name for people: that of a loop, where it has one.
    """

    name: str
    path: Path
    digest: str
    parameters: Mapping[str, PipelineParameter]
    tasks: Mapping[str, str] = field(default_factory=dict)

    def typed(self, arguments: Mapping[str, str]) -> dict[str, Any]:
        """Convert each argument to the type that the pipeline declares.

        Args:
            arguments: parameter -> value as text; numbers, booleans, lists and structures as JSON.

        Raises:
            RunInputError: an unknown or missing parameter, or a value of another type.
        """
        unknown = sorted(set(arguments) - set(self.parameters))
        if unknown:
            raise RunInputError(
                f"the pipeline {self.name} has no parameter {', '.join(unknown)}; "
                f"it has {', '.join(sorted(self.parameters)) or 'none'}"
            )
        missing = sorted(p.name for p in self.parameters.values() if p.required and p.name not in arguments)
        if missing:
            raise RunInputError(f"the pipeline {self.name} requires a value for {', '.join(missing)}")
        return {name: self._value(self.parameters[name], text) for name, text in arguments.items()}

    def _value(self, parameter: PipelineParameter, text: str) -> Any:
        if parameter.type == "STRING":
            return text
        try:
            value = json.loads(text)
        except (ValueError, RecursionError) as error:
            raise self._mistyped(parameter, text) from error
        if isinstance(value, bool) is not (parameter.type == "BOOLEAN") or not isinstance(
            value, _PYTHON_TYPES.get(parameter.type, object)
        ):
            raise self._mistyped(parameter, text)
        return value

    def _mistyped(self, parameter: PipelineParameter, text: str) -> RunInputError:
        return RunInputError(f"{parameter.name}={text} is not of the type {parameter.type} in pipeline {self.name}")


_PYTHON_TYPES: dict[str, Any] = {
    "NUMBER_INTEGER": int,
    "NUMBER_DOUBLE": (int, float),
    "BOOLEAN": bool,
    "LIST": list,
    "STRUCT": dict,
}


def read(path: Path) -> CompiledPipeline:
    """Read one compiled pipeline.

    Raises:
        RunInputError: the file is missing or not a compiled pipeline.
    """
    try:
        content = path.read_bytes()
        spec = next(iter(yaml.load_all(content, Loader=_LOADER)))
        inputs = spec["root"].get("inputDefinitions", {}).get("parameters", {})
        tasks = {
            str(key): str(task["taskInfo"]["name"] if "parameterIterator" in task else key)
            for key, task in spec["root"].get("dag", {}).get("tasks", {}).items()
        }
        parameters = {
            str(key): PipelineParameter(str(key), value.get("parameterType", "STRING"), not _optional(value))
            for key, value in inputs.items()
        }
    except OSError as error:
        raise RunInputError(
            f"the compiled pipeline {path} cannot be read: {error.strerror}; run: pix2pix compile"
        ) from error
    except (yaml.YAMLError, StopIteration, KeyError, TypeError, AttributeError, ValueError, RecursionError) as error:
        raise RunInputError(f"{path} is not a compiled pipeline; run: pix2pix compile") from error
    return CompiledPipeline(path.stem, path, hashlib.sha256(content).hexdigest()[:12], parameters, tasks)


def _optional(declared: Mapping[str, Any]) -> bool:
    return bool(declared.get("isOptional")) or "defaultValue" in declared


def shipped() -> dict[str, Path]:
    """Return the compiled pipelines that ship with the package, by file name without extension."""
    folder = Path(__file__).resolve().parent.parent
    return {path.stem: path for path in sorted(folder.glob("*.yaml"))}


def in_queue(pipelines: Mapping[str, Path], queue: str, folder: Path) -> dict[str, Path]:
    """Write copies of compiled pipelines whose tasks' pods are in a queue of Kueue.

    Kubeflow (2.17) takes the labels of pods from the uploaded pipeline alone, and from no parameter.

    Args:
        pipelines: name -> YAML file.
        queue: name of the LocalQueue.
        folder: for the copies; may be that of the files.

    Raises:
        RunInputError: not the name of a LocalQueue.
    """
    if not _QUEUE.fullmatch(queue):
        raise RunInputError(f"queue = {queue!r} is not the name of a LocalQueue: lower-case letters, digits, - and .")
    copies = {}
    for name, path in pipelines.items():
        documents = list(yaml.load_all(path.read_bytes(), Loader=_LOADER))
        for executor in documents[1]["platforms"]["kubernetes"]["deploymentSpec"]["executors"].values():
            executor.setdefault("podMetadata", {}).setdefault("labels", {})[QUEUE_LABEL] = queue
        copies[name] = folder / path.name
        copies[name].write_text(yaml.safe_dump_all(documents))
    return copies


def named(pipelines: Mapping[str, Path], pipeline: str) -> CompiledPipeline:
    """Find and read a pipeline by name.

    Raises:
        RunInputError: there is no pipeline of that name.
    """
    if pipeline not in pipelines:
        raise RunInputError(f"unknown pipeline {pipeline!r}; available: {', '.join(sorted(pipelines)) or 'none'}")
    return read(pipelines[pipeline])
