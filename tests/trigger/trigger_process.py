"""A trigger in its own process: local runs, or Kubeflow with a Lease, depending on the arguments.

Started as ``python trigger_process.py '{"store": ..., "pachd": ..., "project": ..., "pipelines": {...}, ...}'``.
"""

from __future__ import annotations

import contextlib
import json
import os
import sys
import time
from dataclasses import replace
from pathlib import Path
from typing import Any

from pachyderm.client.connection import Target
from workflows.daemon.kubernetes_lease import KubernetesLease
from workflows.daemon.lease import Leadership
from workflows.daemon.signals import Interruption
from workflows.runners.kubeflow import KubeflowRunner
from workflows.runners.kubeflow_api import Access, Api
from workflows.runners.local import LocalRunner, child_environment
from workflows.runners.runner import Runner
from workflows.settings.configuration import Configuration, LeaseSettings
from workflows.trigger import wiring

INTERRUPTION = Interruption.of_process()


def leadership(order: dict[str, Any], by: str) -> Leadership:
    from kubernetes.client import ApiClient, CoordinationV1Api
    from kubernetes.client import Configuration as Cluster

    cluster = Cluster()
    cluster.host = order["kubernetes"]
    lease = LeaseSettings(name="pix2pix-trigger", namespace="kubeflow", seconds=1.0, renew_within=0.6, retry=0.15)
    return KubernetesLease(CoordinationV1Api(ApiClient(cluster)), lease, by, time.monotonic, time.time)


def main(order: dict[str, Any]) -> None:
    by = f"{order.get('name', 'tests')}:{os.getpid()}"
    target = Target(order.get("pachd"), Path(order["store"]), order.get("project", "default"))
    pipelines = {name: Path(file) for name, file in order["pipelines"].items()}
    runner: Runner
    if "kubeflow" in order:
        runner = KubeflowRunner(Api(Access(endpoint=order["kubeflow"], timeout=5.0), time.sleep), pipelines=pipelines)
        # Leader election is by the Lease, whatever the configuration.
        wiring.leadership_for = lambda context, configuration: leadership(order, by)  # type: ignore[assignment]
    else:
        environment = child_environment(target, target.store / "scratch", os.environ)
        runner = LocalRunner(target.store / "runs", environment, pipelines)
    context = wiring.TriggerContext(target, target.store, by, lambda line: None, runner, INTERRUPTION)
    base = Configuration(poll_interval=order.get("poll_interval", 0.2), max_concurrent_runs=3)
    # A single own error fails a commit set; a kill does not count.
    policies = {name: replace(policy, attempts=1, backoff=0.0) for name, policy in base.policy.items()}
    wiring.serve(context, replace(base, policy=policies))


if __name__ == "__main__":
    with contextlib.suppress(KeyboardInterrupt), INTERRUPTION.watched():
        main(json.loads(sys.argv[1]))
