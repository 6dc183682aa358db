"""The Kubeflow runner: uploads each compiled pipeline once, creates runs, reads and terminates them.

Seen on an API server of Kubeflow Pipelines 2.17: a create is not a lock, whatever id it is given; a run can be found by
its display name immediately; a terminated run ends as failed; and status 500 leaves open whether the request took
effect.
"""

from __future__ import annotations

import contextlib
import json
import logging
import time
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

from workflows.errors import RunInputError, RunnerUnreachableError, UnclearAnswerError
from workflows.runners.compiled import CompiledPipeline, named, shipped
from workflows.runners.kubeflow_api import MALFORMED, Api, RefusedError, equals, refusal
from workflows.runners.kubeflow_failures import Failure, failure_of
from workflows.runners.kubeflow_registry import Registry
from workflows.runners.runner import Phase, RunKey, RunState

logger = logging.getLogger(__name__)

LONGEST_NAME = 255
"""Characters of a display name or description. Seen on 2.17: with a longer one the workflow starts, then it fails."""

NAMESPACE = "kubeflow"
"""Namespace of the runs if none is configured: a single-user Kubeflow runs them in its own."""

SETTLES_WITHIN = 60.0
"""Seconds after an unclear create during which the run may still appear; until then no other is created."""

_LIVE = ("PENDING", "RUNNING", "CANCELING", "PAUSED")
_ENDS = {
    "SUCCEEDED": Phase.SUCCEEDED,
    "FAILED": Phase.FAILED,
    "SKIPPED": Phase.FAILED,
    "CANCELED": Phase.TERMINATED,
}


class KubeflowRunner:
    """The runner of a Kubeflow Pipelines installation.

    Args:
        api: its API.
        experiment: experiment of all runs.
        namespace: namespace of the experiment, in a multi-user Kubeflow; empty otherwise.
        ui: URL of the UI, for links; empty: no links.
        service_account: service account of the pods; empty: the cluster's default for pipelines.
        pipelines: name -> compiled pipeline; those shipped if None.
        steady: seconds from an arbitrary start.
        arguments: pipeline -> parameter -> value for each run; arguments of `start` override them. They are not part
            of a run's identity: an existing run is returned whatever arguments it was created with.
    """

    name = "kubeflow"
    atomic_start = False

    def __init__(
        self,
        api: Api,
        experiment: str = "pix2pix",
        namespace: str = "",
        ui: str = "",
        service_account: str = "",
        pipelines: Mapping[str, Path] | None = None,
        steady: Callable[[], float] = time.monotonic,
        arguments: Mapping[str, Mapping[str, str]] | None = None,
    ) -> None:
        self._api = api
        self._registry = Registry(api, experiment, namespace)
        self._namespace = namespace
        self._ui = ui.rstrip("/")
        self._service_account = service_account
        self._pipelines = shipped() if pipelines is None else pipelines
        self._steady = steady
        self._arguments = arguments or {}
        self._unclear: dict[RunKey, float] = {}

    def location(self) -> str:
        """Return the experiment's id, and create the experiment if it is missing; see `Runner.location`.

        The id is unique to an installation, whereas many clusters have their API at the same address.
        """
        return f"kubeflow experiment {self._registry.experiment_id()}"

    def start(self, key: RunKey, arguments: Mapping[str, str]) -> RunState:
        """Create the run of a key, or return the existing one; see `Runner.start`."""
        package = named(self._pipelines, key.pipeline)
        parameters = package.typed({**self._arguments.get(key.pipeline, {}), **arguments})
        before = self.find(key)
        if before:
            self._unclear.pop(key, None)
            return before[0]
        since = self._unclear.get(key)
        if since is not None and self._steady() - since < SETTLES_WITHIN:
            raise UnclearAnswerError(f"it is not known yet whether {key.display_name} was created")
        return self._create(key, package, parameters)

    def _create(self, key: RunKey, package: CompiledPipeline, parameters: Mapping[str, Any]) -> RunState:
        from kfp_server_api import V2beta1PipelineVersionReference, V2beta1Run, V2beta1RuntimeConfig

        pipeline, version = self._registry.version(package)
        body = V2beta1Run(
            display_name=_cut(key.display_name),
            description=_cut(f"Fills the open commits of commit set {key.commit_set}; attempt {key.attempt}."),
            experiment_id=self._registry.experiment_id(),
            pipeline_version_reference=V2beta1PipelineVersionReference(
                pipeline_id=pipeline, pipeline_version_id=version
            ),
            runtime_config=V2beta1RuntimeConfig(parameters=dict(parameters)),
            service_account=self._service_account or None,
        )
        try:
            state = self._state(self._api.change("run", "run_service_create_run", run=body))
        except UnclearAnswerError:
            self._unclear[key] = self._steady()
            # Seen on 2.17: a deleted version or experiment is answered with status 500, as are many other errors.
            self._registry.forget(package)
            found = self.find(key)
            if not found:
                raise
            self._unclear.pop(key)
            return found[0]
        except RefusedError as error:
            return self._refused(key, package, error)
        self._unclear.pop(key, None)
        return state

    def _refused(self, key: RunKey, package: CompiledPipeline, error: RefusedError) -> RunState:
        if error.status in (404, 409):
            # The version or the experiment was deleted, or a run of this name has just been created.
            self._registry.forget(package)
            found = self.find(key)
            if found:
                return found[0]
            raise UnclearAnswerError(f"Kubeflow answers {error.status} to {key.display_name}: {error.reason}")
        raise refusal(error, f"the run {key.display_name}")

    def find(self, key: RunKey) -> tuple[RunState, ...]:
        """Return the runs of a key, archived ones included; see `Runner.find`."""
        return self._list([equals("display_name", _cut(key.display_name))])

    def state(self, run: str) -> RunState | None:
        """Return a run by id; see `Runner.state`."""
        try:
            return self._state(self._api.ask("run", "run_service_get_run", run_id=run))
        except RefusedError as error:
            if error.status in (400, 404):
                return None
            raise RunnerUnreachableError(f"Kubeflow refuses to show run {run}: {error}") from error

    def live(self) -> tuple[RunState, ...]:
        """Return the trigger's runs that are not over; see `Runner.live`."""
        states = [state for name in _LIVE for state in self._list([equals("state", name)])]
        return tuple({state.run: state for state in states if state.key is not None and not state.over}.values())

    def terminate(self, run: str, why: str) -> None:
        """Terminate a run; see `Runner.terminate`."""
        logger.info("terminating run %s: %s", run, why, extra={"run": run})
        try:
            self._api.change("run", "run_service_terminate_run", run_id=run)
        except RefusedError as error:
            # It is over, being terminated already, or deleted.
            logger.info("run %s was not terminated: %s", run, error)

    def poll(self) -> bool:
        """Do nothing: the runs are on the cluster."""
        return False

    def close(self) -> tuple[RunState, ...]:
        """End nothing: the runs outlive the trigger."""
        return ()

    def check(self) -> None:
        """Look up the experiment; nothing is created.

        Raises:
            RunnerUnreachableError: the API does not answer or refuses the token.
        """
        self._registry.find_experiment()

    def _list(self, predicates: list[dict[str, str]]) -> tuple[RunState, ...]:
        experiment = self._registry.known_experiment or self._registry.find_experiment()
        if not experiment:
            return ()
        arguments = {"experiment_id": experiment, "filter": json.dumps({"predicates": predicates})}
        try:
            found = self._api.pages("run", "run_service_list_runs", "runs", sort_by="created_at asc", **arguments)
        except RefusedError as error:
            if error.status == 404:
                # The experiment was deleted, and its runs with it.
                self._registry.forget()
                return ()
            raise RunnerUnreachableError(f"Kubeflow refuses to list runs: {error}") from error
        states = {state.run: state for state in map(self._state, found)}
        return tuple(sorted(states.values(), key=lambda state: (state.started, state.run)))

    def _state(self, run: Any) -> RunState:
        if not isinstance(getattr(run, "run_id", None), str) or not run.run_id:
            raise UnclearAnswerError("Kubeflow returned a run without an id; check the proxy in front of its API")
        try:
            return self._read(run)
        except MALFORMED as error:
            raise UnclearAnswerError(
                f"Kubeflow returned a malformed run {run.run_id} ({type(error).__name__}: {error}); check the proxy in"
                " front of its API"
            ) from error

    def _read(self, run: Any) -> RunState:
        state = run.state or ""
        phase = _ENDS.get(state, Phase.RUNNING)
        history = [status.state for status in run.state_history or () if status is not None]
        if phase is Phase.FAILED and "CANCELING" in history:
            # Seen on 2.17: a run that a person terminates ends as FAILED.
            phase = Phase.TERMINATED
        ended = run.finished_at.timestamp() if run.finished_at else 0.0
        error, certain = "", True
        if phase is Phase.TERMINATED:
            error = f"it ended as {state}"
        elif phase is Phase.FAILED:
            failure = self._failure(run)
            phase, error, certain = failure.phase, failure.error, failure.certain
        return RunState(
            run=run.run_id,
            key=RunKey.parse(run.display_name or ""),
            phase=phase,
            error=error,
            started=run.created_at.timestamp() if run.created_at else 0.0,
            # Seen on 2.17: an unset time reads as 1970.
            ended=ended if ended > 0 and phase is not Phase.RUNNING else None,
            ending=state == "CANCELING",
            link=self._link(run.run_id),
            certain=certain,
        )

    def _link(self, run: str) -> str:
        """Return the UI's URL of a run; empty if no UI is known."""
        return f"{self._ui}/#/runs/details/{run}" if self._ui else ""

    def _failure(self, run: Any) -> Failure:
        tasks: Mapping[str, str] = {}
        remedy = "give it a higher memory limit"
        key = RunKey.parse(run.display_name or "")
        if key is not None and key.pipeline in self._pipelines:
            with contextlib.suppress(RunInputError):
                package = named(self._pipelines, key.pipeline)
                tasks = package.tasks
                memory = next((name for name in ("memory", "shard_memory") if name in package.parameters), "")
                if memory:
                    remedy = f"raise `{memory}` in [kubeflow.arguments.{key.pipeline}]"
        # KFP labels the pods of a run with its id; `main` is the container of the task itself.
        command = f"kubectl logs -n {self._namespace or NAMESPACE} -l pipeline/runid={run.run_id} -c main --tail=50"
        return failure_of(run, tasks, remedy, f"see {' or '.join(filter(None, (self._link(run.run_id), command)))}")


def _cut(text: str) -> str:
    return text[:LONGEST_NAME]
