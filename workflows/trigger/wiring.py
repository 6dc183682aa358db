"""Puts a trigger together from its configuration: connection, runner, leadership, controller."""

from __future__ import annotations

import logging
import os
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import NoReturn

from pachyderm.client.connection import Target, connect
from pachyderm.dag.repos import PIPELINES
from pachyderm.dag.setup import check_set_up
from pachyderm.errors import PachydermError
from workflows.daemon.kubernetes_lease import KubernetesLease, coordination_api
from workflows.daemon.lease import Leadership, LockFile, NoElection
from workflows.daemon.signals import Interruption
from workflows.errors import RunnerUnreachableError, WorkflowError
from workflows.runners.compiled import named, shipped
from workflows.runners.kubeflow import KubeflowRunner
from workflows.runners.kubeflow_api import Access, Api
from workflows.runners.local import LocalRunner, child_environment
from workflows.runners.runner import Phase, Runner
from workflows.settings.arguments import COMMIT_SET
from workflows.settings.configuration import Configuration
from workflows.trigger.controller import RUNNER_POLL_INTERVAL, Controller, Done, Settings
from workflows.trigger.metrics import Metrics, MetricsServer
from workflows.trigger.release import release_runs
from workflows.trigger.snapshot_builder import Clock
from workflows.trigger.wakeups import CommitSubscriptions

logger = logging.getLogger(__name__)

SAY_EVERY = 60.0
"""Seconds between two lines about the same trouble."""

CLOCK = Clock(time.monotonic, time.time)


@dataclass(frozen=True)
class TriggerContext:
    """Where a trigger works.

    Attributes:
        target: the Pachyderm.
        folder: where local runs, scratch work and the lock lie: the embedded store's folder.
        by: who decides, ``host:process``.
        show: is given lines for a person.
        interruption: tells whether the process was told to stop.
        runner: what runs the pipelines; the one that the configuration names if None.
    """

    target: Target
    folder: Path
    by: str
    show: Callable[[str], None]
    runner: Runner | None = None
    interruption: Interruption = field(default_factory=Interruption)

    def rest(self, seconds: float) -> None:
        """Sleep; KeyboardInterrupt is raised within `RUNNER_POLL_INTERVAL` seconds of a signal."""
        until = CLOCK.steady() + seconds
        while (left := until - CLOCK.steady()) > 0:
            self.interruption.check()
            time.sleep(min(RUNNER_POLL_INTERVAL, left))


def once(place: TriggerContext, configuration: Configuration) -> tuple[Done, ...]:
    """Work until nothing is open; how the items ended that were open meanwhile.

    Raises:
        RequestError: set-up was not done.
        UnreachableError: no Pachyderm answers.
        RunnerUnreachableError: the runner does not answer.
        KeyboardInterrupt: runs have ended and claims are given back before it is passed on.
    """
    metrics = Metrics(CLOCK.steady, CLOCK.wall)
    with (
        _served(metrics, configuration),
        _hands_and_lead(place, configuration) as (runner, leadership),
        _controller(place, configuration, runner, leadership, metrics) as controller,
    ):
        return controller.once()


def serve(place: TriggerContext, configuration: Configuration) -> NoReturn:
    """Work for ever; what cannot be reached is waited for.

    Raises:
        RequestError, StoreError: at the beginning alone: nothing is set up there.
        KeyboardInterrupt: runs have ended and claims are given back before it is passed on.
    """
    patience, metrics = Patience(place.show, CLOCK.steady), Metrics(CLOCK.steady, CLOCK.wall)
    with _served(metrics, configuration), _hands_and_lead(place, configuration) as (runner, leadership):
        while True:
            try:
                with _controller(place, configuration, runner, leadership, metrics) as controller:
                    controller.serve(patience.worked)
            except (PachydermError, RunnerUnreachableError) as error:
                if not patience.ever_worked and not error.retryable:
                    raise
                metrics.troubled()
                # Runs go on meanwhile: what they do does not need the trigger.
                until = CLOCK.steady() + patience.another(str(error))
                while CLOCK.steady() < until:
                    runner.poll()
                    place.rest(RUNNER_POLL_INTERVAL)


class Patience:
    """How long to wait for what cannot be reached, and how often to say so.

    Args:
        tell: is given a line at most once a minute.
        steady: seconds from an arbitrary start.
    """

    def __init__(self, tell: Callable[[str], None], steady: Callable[[], float]) -> None:
        self._tell = tell
        self._steady = steady
        self._times = 0
        self._told: float | None = None
        self.ever_worked = False

    def another(self, problem: str) -> float:
        """Seconds to wait after one more failure: 1, 2, 4, ... up to 30."""
        now = self._steady()
        if self._told is None or now - self._told >= SAY_EVERY:
            self._tell(f"{problem}; trying again")
            self._told = now
        self._times += 1
        return float(min(2 ** (self._times - 1), 30))

    def worked(self) -> None:
        """Take note that it works."""
        if self._times:
            self._tell("it is back")
        self._times, self._told, self.ever_worked = 0, None, True


def runner_for(place: TriggerContext, configuration: Configuration) -> Runner:
    """The runner that the configuration asks for."""
    if place.runner is not None:
        return place.runner
    if configuration.runner == "kubeflow":
        chosen = configuration.kubeflow
        access = Access(chosen.endpoint, chosen.namespace, chosen.token_file, chosen.cookies, chosen.timeout)
        return KubeflowRunner(
            Api(access, place.rest),
            experiment=chosen.experiment,
            namespace=chosen.namespace,
            ui=chosen.ui or os.environ.get("KF_PIPELINES_UI_ENDPOINT", ""),
            service_account=chosen.service_account,
            arguments=chosen.arguments,
        )
    environment = child_environment(place.target, place.folder.resolve() / "scratch", os.environ)
    return LocalRunner(place.folder / "runs", environment, None, place.show)


def leadership_for(place: TriggerContext, configuration: Configuration) -> Leadership:
    """What keeps one trigger acting, before its `begin`: a lock file on this machine, a Lease on a cluster."""
    if configuration.runner == "local":
        return LockFile(place.folder / "trigger.lock")
    if not configuration.lease.name:
        return NoElection()
    api, settings = coordination_api(configuration.lease)
    return KubernetesLease(api, settings, place.by, CLOCK.steady, CLOCK.wall)


def check(place: TriggerContext, configuration: Configuration) -> list[tuple[str, Exception | None]]:
    """Try what the configuration names, one after the other; nothing is started or changed.

    Returns:
        (what was tried, what is wrong with it) for each.
    """

    def pachyderm() -> None:
        with connect(place.target) as client:
            check_set_up(client)

    def pipelines() -> None:
        for pipeline in PIPELINES:
            given = configuration.kubeflow.arguments.get(pipeline.name, {})
            named(shipped(), pipeline.name).typed({**given, COMMIT_SET: "0" * 32})

    def kubeflow() -> None:
        runner = runner_for(place, configuration)
        if isinstance(runner, KubeflowRunner):
            runner.check()

    tried = [("Pachyderm", pachyderm), ("pipelines", pipelines)]
    if configuration.runner == "kubeflow":
        tried += [("Kubeflow", kubeflow)]
        if configuration.lease.name:
            tried += [("lease", lambda: coordination_api(configuration.lease)[0] and None)]
    findings: list[tuple[str, Exception | None]] = []
    for what, attempt in tried:
        try:
            attempt()
        except (PachydermError, WorkflowError) as error:
            findings.append((what, error))
        else:
            findings.append((what, None))
    return findings


@contextmanager
def _hands_and_lead(place: TriggerContext, configuration: Configuration) -> Iterator[tuple[Runner, Leadership]]:
    """A runner and a leadership.

    At a signal the leadership is resigned at once, by the thread that sees the signal. At the end the runs that must
    not outlive the trigger end and give their claims back, and then the lead is released.
    """
    runner = runner_for(place, configuration)
    leadership = leadership_for(place, configuration)
    with place.interruption.first(leadership.resign):
        try:
            place.interruption.check()
            leadership.begin()
            yield runner, leadership
        finally:
            ended = [state for state in runner.close() if state.phase is not Phase.SUCCEEDED]
            if ended:
                try:
                    with connect(place.target) as client:
                        release_runs(client, ended, place.by, CLOCK.wall())
                except PachydermError as error:
                    # The next trigger asks the runner, and does it then.
                    logger.warning("claims of ended runs could not be given back: %s", error)
            leadership.release()


@contextmanager
def _served(metrics: Metrics, configuration: Configuration) -> Iterator[None]:
    if not configuration.metrics_address:
        yield
        return
    with MetricsServer(metrics, configuration.metrics_address) as server:
        logger.info("metrics are at http://%s/metrics", server.address)
        yield


@contextmanager
def _controller(
    place: TriggerContext, configuration: Configuration, runner: Runner, leadership: Leadership, metrics: Metrics
) -> Iterator[Controller]:
    settings = Settings(configuration.policy, configuration.max_concurrent_runs, configuration.poll_interval, place.by)
    place.interruption.check()
    with connect(place.target) as client:
        check_set_up(client)
        hints = CommitSubscriptions(client)

        try:
            yield Controller(
                client,
                runner,
                leadership,
                settings,
                CLOCK,
                hints.pause,
                metrics,
                place.show,
                place.interruption.check,
            )
        finally:
            hints.close()
