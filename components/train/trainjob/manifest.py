"""The TrainJob of one run at one output commit (`trainer.kubeflow.org/v1alpha1`)."""

from __future__ import annotations

import hashlib
import json
from dataclasses import dataclass
from typing import Any

from components.train.trainjob.nodes import Nodes

GROUP, VERSION, PLURAL = "trainer.kubeflow.org", "v1alpha1", "trainjobs"

COMMIT_LABEL = "pix2pix/commit"
"""Label of every TrainJob: the output commit that it works for, as 32 hex digits."""

QUEUE_LABEL = "kueue.x-k8s.io/queue-name"
"""Label by which Kueue admits pods and TrainJobs."""

DEADLINE = 7 * 24 * 3600
"""Seconds after which a TrainJob is ended, as its run is; nodes that lost Pachyderm for good cannot know of its end."""

PORT = 2222
"""Port on which the workers reach each other."""

CONNECTION = "pix2pix-pachyderm"
"""Name of the config map (keys ``address``, ``project``, ``root_certs``) and of the secret (key ``token``); both are
optional."""

CONNECTION_KEYS = {"address": "PACHD_ADDRESS", "project": "PACH_PROJECT", "root_certs": "PACH_ROOT_CERTS"}
"""Key of the config map -> environment variable of every task and worker."""


@dataclass(frozen=True)
class Assignment:
    """What the workers of a TrainJob work at.

    Attributes:
        commit: id of the output commit.
        fingerprint: of the output commit, as the task derived it.
        run: id of the run that has the claim.
        state: digest of the unfinished work that all workers begin with.
        parent: id of the commit whose weights the training begins with; empty for none.
    """

    commit: str
    fingerprint: str
    run: str
    state: str
    parent: str = ""

    @property
    def name(self) -> str:
        """The TrainJob's name: the same whenever the same run works at the same commit."""
        return f"pix2pix-{self.commit[:12]}-{hashlib.sha256(self.run.encode()).hexdigest()[:6]}"


def trainjob(assignment: Assignment, nodes: Nodes, queue: str) -> dict[str, Any]:
    """Return the TrainJob as a document.

    Args:
        assignment: what the workers work at.
        nodes: their number, runtime, image and resources.
        queue: Kueue's LocalQueue; empty for none.
    """
    name = assignment.name
    arguments = [assignment.commit, assignment.fingerprint, assignment.run, assignment.state, assignment.parent]
    trainer: dict[str, Any] = {
        "numNodes": nodes.count,
        "command": ["python", "-m", "components.train.trainjob.worker"],
        "args": arguments,
        "env": [{"name": "TF_CONFIG", "value": json.dumps(_cluster(name, nodes.count))}, *_connection()],
    }
    if nodes.image:
        trainer["image"] = nodes.image
    if nodes.resources:
        trainer["resourcesPerNode"] = dict(nodes.resources)
    labels = {
        "app.kubernetes.io/name": "pix2pix-training",
        "app.kubernetes.io/part-of": "pix2pix",
        COMMIT_LABEL: assignment.commit,
        **({QUEUE_LABEL: queue} if queue else {}),
    }
    return {
        "apiVersion": f"{GROUP}/{VERSION}",
        "kind": "TrainJob",
        "metadata": {"name": name, "labels": labels},
        "spec": {
            "runtimeRef": nodes.runtime_reference,
            "trainer": trainer,
            "activeDeadlineSeconds": DEADLINE,
        },
    }


def _cluster(name: str, count: int) -> dict[str, Any]:
    """Return TF_CONFIG without the task, which each worker adds: Kubernetes gives it only its own index."""
    # JobSet's names: <job set>-<replicated job>-<job>-<pod>.<subdomain>; Trainer requires the replicated job "node".
    return {"cluster": {"worker": [f"{name}-node-0-{index}.{name}:{PORT}" for index in range(count)]}}


def _connection() -> list[dict[str, Any]]:
    def reference(kind: str, key: str) -> dict[str, Any]:
        return {kind: {"name": CONNECTION, "key": key, "optional": True}}

    return [
        *(
            {"name": variable, "valueFrom": reference("configMapKeyRef", key)}
            for key, variable in CONNECTION_KEYS.items()
        ),
        {"name": "PACH_TOKEN", "valueFrom": reference("secretKeyRef", "token")},
        {"name": "PYTHONUNBUFFERED", "value": "1"},
    ]
