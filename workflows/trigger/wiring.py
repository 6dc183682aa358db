"""Assembly of a trigger from its configuration: connection, runner, leadership, controller."""

from __future__ import annotations

import atexit
import logging
import os
import shutil
import tempfile
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import NoReturn

from pachyderm.client.connection import Target, connect
from pachyderm.dag.repos import PIPELINES
from pachyderm.dag.setup import check_set_up
from pachyderm.errors import PachydermError
from workflows.daemon.coordination_api import coordination_api
from workflows.daemon.kubernetes_lease import KubernetesLease
from workflows.daemon.lease import Leadership, LockFile, NoElection
from workflows.daemon.signals import Interruption
from workflows.errors import RunnerUnreachableError, WorkflowError
from workflows.notifications.notifier import notifying
from workflows.notifications.sender import check_services
from workflows.runners.compiled import in_queue, named, shipped
from workflows.runners.kubeflow import KubeflowRunner
from workflows.runners.kubeflow_api import Access, Api
from workflows.runners.local import MARK, LocalRunner, child_environment
from workflows.runners.prepared.prepared_process import PreparedProcess
from workflows.runners.runner import Phase, Runner
from workflows.settings.arguments import COMMIT_SET
from workflows.settings.configuration import Configuration, RunnerName
from workflows.settings.notify import NotifySettings, services_of
from workflows.trigger.controller import RUNNER_POLL_INTERVAL, Controller, Outcome, Settings
from workflows.trigger.metrics import Metrics, MetricsServer
from workflows.trigger.release import release_runs
from workflows.trigger.snapshot_builder import Clock
from workflows.trigger.wakeups import CommitSubscriptions

logger = logging.getLogger(__name__)

REPORTED_EVERY = 60.0
"""Seconds between two lines about the same outage."""

CLOCK = Clock(time.monotonic, time.time)


@dataclass(frozen=True)
class TriggerContext:
    """The environment of a trigger.

    Attributes:
        target: the Pachyderm.
        folder: folder of local runs, scratch work and the lock: the embedded store's folder.
        by: identity of the trigger, ``host:process``.
        show: receives lines for people.
        runner: the runner of the pipelines; None for the one that the configuration names.
        interruption: whether the process was asked to stop.
        prepared: whether local runs are forked from a process with the libraries imported, which pays off for many.
    """

    target: Target
    folder: Path
    by: str
    show: Callable[[str], None]
    runner: Runner | None = None
    interruption: Interruption = field(default_factory=Interruption)
    prepared: bool = False

    def rest(self, seconds: float) -> None:
        """Sleep; KeyboardInterrupt is raised within `RUNNER_POLL_INTERVAL` seconds of a signal."""
        until = CLOCK.steady() + seconds
        while (left := until - CLOCK.steady()) > 0:
            self.interruption.check()
            time.sleep(min(RUNNER_POLL_INTERVAL, left))


def once(context: TriggerContext, configuration: Configuration) -> tuple[Outcome, ...]:
    """Work until nothing is open; return the work items that were open meanwhile, with how they ended.

    Raises:
        RequestError: the repos are not set up.
        UnreachableError: Pachyderm does not answer.
        RunnerUnreachableError: the runner does not answer.
        KeyboardInterrupt: passed on after runs have ended and their claims are given back.
    """
    metrics = Metrics(CLOCK.steady, CLOCK.wall)
    with (
        _served(metrics, configuration),
        _runner_and_leadership(context, configuration) as (runner, leadership),
        _controller(context, configuration, runner, leadership, metrics) as controller,
    ):
        return controller.once()


def serve(context: TriggerContext, configuration: Configuration) -> NoReturn:
    """Work forever; wait for services that cannot be reached.

    Raises:
        RequestError, StoreError: only before the first complete poll: the repos are not set up.
        KeyboardInterrupt: passed on after runs have ended and their claims are given back.
    """
    context = replace(context, prepared=True)
    outage, metrics = Outage(context.show, CLOCK.steady), Metrics(CLOCK.steady, CLOCK.wall)
    with _served(metrics, configuration), _runner_and_leadership(context, configuration) as (runner, leadership):
        while True:
            try:
                with _controller(context, configuration, runner, leadership, metrics) as controller:
                    controller.serve(outage.end)
            except (PachydermError, RunnerUnreachableError) as error:
                if not outage.ever_worked and not error.retryable:
                    raise
                metrics.record_unreachable()
                # Runs go on meanwhile; they do not need the trigger.
                until = CLOCK.steady() + outage.next_delay(str(error))
                while CLOCK.steady() < until:
                    runner.poll()
                    context.rest(RUNNER_POLL_INTERVAL)


class Outage:
    """Exponential back-off while a service cannot be reached, reported once a minute.

    Args:
        show: receives the reports.
        steady: seconds from an arbitrary start.
    """

    def __init__(self, show: Callable[[str], None], steady: Callable[[], float]) -> None:
        self._show = show
        self._steady = steady
        self._failures = 0
        self._reported: float | None = None
        self.ever_worked = False

    def next_delay(self, problem: str) -> float:
        """Record one more failure; return the seconds to wait: 1, 2, 4, ... up to 30."""
        now = self._steady()
        if self._reported is None or now - self._reported >= REPORTED_EVERY:
            self._show(f"{problem}; retrying")
            self._reported = now
        self._failures += 1
        return float(min(2 ** (self._failures - 1), 30))

    def end(self) -> None:
        """Record that every service answers."""
        if self._failures:
            self._show("connected again")
        self._failures, self._reported, self.ever_worked = 0, None, True


def runner_for(context: TriggerContext, configuration: Configuration) -> Runner:
    """Return the runner that the configuration names."""
    return RUNNERS[configuration.runner](context, configuration) if context.runner is None else context.runner


def _local_runner(context: TriggerContext, configuration: Configuration) -> Runner:  # noqa: ARG001
    environment = child_environment(context.target, context.folder.resolve() / "scratch", os.environ)
    prepared = PreparedProcess(environment, MARK) if context.prepared else None
    runner = LocalRunner(context.folder / "runs", environment, None, context.show, prepared=prepared)
    runner.sweep()
    return runner


def _kubeflow_runner(context: TriggerContext, configuration: Configuration) -> Runner:
    settings = configuration.kubeflow
    access = Access(settings.endpoint, settings.namespace, settings.token_file, settings.cookies, settings.timeout)
    return KubeflowRunner(
        Api(access, context.rest),
        experiment=settings.experiment,
        namespace=settings.namespace,
        ui=settings.ui or os.environ.get("KF_PIPELINES_UI_ENDPOINT", ""),
        service_account=settings.service_account,
        pipelines=_in_queue(settings.queue) if settings.queue else None,
        arguments=settings.arguments,
    )


def _in_queue(queue: str) -> dict[str, Path]:
    # The folder of the temporary files is the only one that a pod of the trigger can write to.
    folder = Path(tempfile.mkdtemp(prefix="pix2pix-pipelines-"))
    atexit.register(shutil.rmtree, folder, ignore_errors=True)
    return in_queue(shipped(), queue, folder)


RUNNERS: Mapping[RunnerName, Callable[[TriggerContext, Configuration], Runner]] = {
    "local": _local_runner,
    "kubeflow": _kubeflow_runner,
}
"""The factory of each runner that a configuration may name."""


def leadership_for(context: TriggerContext, configuration: Configuration) -> Leadership:
    """Return the leader election, not yet begun: a Lease for Kubeflow, a lock file for runners on this machine."""
    if configuration.runner != "kubeflow":
        return LockFile(context.folder / "trigger.lock")
    if not configuration.lease.name:
        return NoElection()
    api, settings = coordination_api(configuration.lease)
    return KubernetesLease(api, settings, context.by, CLOCK.steady, CLOCK.wall)


def check(context: TriggerContext, configuration: Configuration) -> list[tuple[str, Exception | None]]:
    """Try the services and pipelines that the configuration names; nothing is started or changed.

    Returns:
        (what was tried, its problem or None) for each.
    """

    def pachyderm() -> None:
        with connect(context.target) as client:
            check_set_up(client)

    def pipelines() -> None:
        for pipeline in PIPELINES:
            arguments = configuration.kubeflow.arguments.get(pipeline.name, {})
            named(shipped(), pipeline.name).typed({**arguments, COMMIT_SET: "0" * 32})

    def kubeflow() -> None:
        runner = runner_for(context, configuration)
        if isinstance(runner, KubeflowRunner):
            runner.check()

    def lease() -> None:
        coordination_api(configuration.lease)

    def notifications() -> None:
        check_services(services_of(configuration.notify))

    checks = [("Pachyderm", pachyderm), ("pipelines", pipelines)]
    if configuration.notify != NotifySettings():
        checks += [("notifications", notifications)]
    if configuration.runner == "kubeflow":
        checks += [("Kubeflow", kubeflow)]
        if configuration.lease.name:
            checks += [("lease", lease)]
    findings: list[tuple[str, Exception | None]] = []
    for name, check_service in checks:
        try:
            check_service()
        except (PachydermError, WorkflowError) as error:
            findings.append((name, error))
        else:
            findings.append((name, None))
    return findings


@contextmanager
def _runner_and_leadership(
    context: TriggerContext, configuration: Configuration
) -> Iterator[tuple[Runner, Leadership]]:
    """Provide a runner and a leadership.

    At a signal the leadership is resigned at once, by the thread that receives the signal. On exit, the runs that must
    not outlive the trigger end and give their claims back before the lead is released.
    """
    runner = runner_for(context, configuration)
    leadership = leadership_for(context, configuration)
    with context.interruption.on_signal(leadership.resign):
        try:
            context.interruption.check()
            leadership.begin()
            with notifying(context.target, configuration.notify, leadership, context.by, CLOCK.steady, CLOCK.wall):
                yield runner, leadership
        finally:
            ended = [state for state in runner.close() if state.phase is not Phase.SUCCEEDED]
            if ended:
                try:
                    with connect(context.target) as client:
                        release_runs(client, ended, context.by, CLOCK.wall())
                except PachydermError as error:
                    # The next trigger learns from the runner that they are over, and gives the claims back.
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
    context: TriggerContext, configuration: Configuration, runner: Runner, leadership: Leadership, metrics: Metrics
) -> Iterator[Controller]:
    settings = Settings(
        configuration.policy, configuration.max_concurrent_runs, configuration.poll_interval, context.by
    )
    context.interruption.check()
    with connect(context.target) as client:
        check_set_up(client)
        subscriptions = CommitSubscriptions(client)

        try:
            yield Controller(
                client,
                runner,
                leadership,
                settings,
                CLOCK,
                subscriptions.pause,
                metrics,
                context.show,
                context.interruption.check,
            )
        finally:
            subscriptions.close()
