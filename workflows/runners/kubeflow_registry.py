"""The trigger's experiment, pipelines and pipeline versions on Kubeflow: looked up once, created if missing."""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import Any

from workflows.errors import RunnerUnreachableError, UnclearAnswerError
from workflows.runners.compiled import CompiledPipeline
from workflows.runners.kubeflow_api import Api, RefusedError, equals, refusal


class Registry:
    """Ids of an experiment and of the versions of compiled pipelines.

    Args:
        api: of the Kubeflow Pipelines installation.
        experiment: name of the experiment.
        namespace: of experiment and pipelines, in a multi-user Kubeflow; empty otherwise.
    """

    def __init__(self, api: Api, experiment: str, namespace: str) -> None:
        self._api = api
        self._experiment_name = experiment
        self._namespace = namespace
        self._experiment = ""
        self._versions: dict[str, tuple[str, str]] = {}

    @property
    def known_experiment(self) -> str:
        """The experiment's id if it was looked up before, else an empty string."""
        return self._experiment

    def forget(self, package: CompiledPipeline | None = None) -> None:
        """Look up the experiment, and the version of a compiled pipeline, again next time."""
        self._experiment = ""
        if package is not None:
            self._versions.pop(package.digest, None)

    def experiment_id(self) -> str:
        """Return the experiment's id; create the experiment if it is missing."""
        if not self._experiment:
            self._experiment = self.find_experiment() or self._create_experiment()
        return self._experiment

    def find_experiment(self) -> str:
        """Look the experiment up; return its id, or an empty string.

        Raises:
            RunnerUnreachableError: the API does not answer or refuses the token.
        """
        arguments = {"filter": json.dumps({"predicates": [equals("display_name", self._experiment_name)]})}
        if self._namespace:
            arguments["namespace"] = self._namespace
        pages = self._pages("experiment", "experiment_service_list_experiments", "experiments", **arguments)
        found = [experiment for experiment in pages if experiment.display_name == self._experiment_name]
        self._experiment = found[0].experiment_id if found else ""
        return self._experiment

    def _create_experiment(self) -> str:
        from kfp_server_api import V2beta1Experiment

        body = V2beta1Experiment(display_name=self._experiment_name, namespace=self._namespace or None)
        try:
            return str(
                self._api.change("experiment", "experiment_service_create_experiment", experiment=body).experiment_id
            )
        except (RefusedError, UnclearAnswerError) as error:
            found = self.find_experiment()
            if found:
                return found
            raise _creation_error(error, f"the experiment {self._experiment_name}") from error

    def version(self, package: CompiledPipeline) -> tuple[str, str]:
        """Return the ids of the pipeline and of its version for this file; upload it if it is missing."""
        if package.digest not in self._versions:
            pipeline = self._find_or_create(
                lambda: self._find_pipeline(package), lambda: self._create_pipeline(package)
            )
            version = self._find_or_create(
                lambda: self._find_version(package, pipeline), lambda: self._upload(package, pipeline)
            )
            self._versions[package.digest] = (pipeline, version)
        return self._versions[package.digest]

    def _find_or_create(self, find: Callable[[], str], create: Callable[[], str]) -> str:
        found = find()
        if found:
            return found
        try:
            return create()
        except (RefusedError, UnclearAnswerError) as error:
            # Another client was faster (409), or the answer was lost.
            found = find()
            if found:
                return found
            raise _creation_error(error, "the pipeline") from error

    def _find_pipeline(self, package: CompiledPipeline) -> str:
        arguments = {"filter": json.dumps({"predicates": [equals("name", package.name)]})}
        if self._namespace:
            arguments["namespace"] = self._namespace
        pages = self._pages("pipelines", "pipeline_service_list_pipelines", "pipelines", **arguments)
        return next((entry.pipeline_id for entry in pages if package.name in (entry.name, entry.display_name)), "")

    def _create_pipeline(self, package: CompiledPipeline) -> str:
        from kfp_server_api import V2beta1Pipeline

        body = V2beta1Pipeline(name=package.name, display_name=package.name, namespace=self._namespace or None)
        return str(self._api.change("pipelines", "pipeline_service_create_pipeline", pipeline=body).pipeline_id)

    def _find_version(self, package: CompiledPipeline, pipeline: str) -> str:
        name = _version_name(package)
        pages = self._pages(
            "pipelines", "pipeline_service_list_pipeline_versions", "pipeline_versions", pipeline_id=pipeline
        )
        return next((entry.pipeline_version_id for entry in pages if name in (entry.name, entry.display_name)), "")

    def _upload(self, package: CompiledPipeline, pipeline: str) -> str:
        # The file was parsed when it was read. Seen on 2.17: a file that is not YAML hangs the API server forever.
        version = self._api.change(
            "upload",
            "upload_pipeline_version",
            uploadfile=str(package.path),
            name=_version_name(package),
            display_name=_version_name(package),
            pipelineid=pipeline,
        )
        return str(version.pipeline_version_id)

    def _pages(self, service: str, method: str, items: str, **arguments: Any) -> list[Any]:
        try:
            return self._api.pages(service, method, items, **arguments)
        except RefusedError as error:
            raise RunnerUnreachableError(f"Kubeflow refuses to list {items}: {error}") from error


def _creation_error(error: RefusedError | UnclearAnswerError, subject: str) -> Exception:
    """Return the error of a creation without effect; only a refusal of the content is final."""
    if isinstance(error, UnclearAnswerError):
        return error
    if error.status in (404, 409):
        return UnclearAnswerError(f"Kubeflow answers {error.status} to {subject}: {error.reason}")
    return refusal(error, subject)


def _version_name(package: CompiledPipeline) -> str:
    return f"{package.name}-{package.digest}"
