"""TrainJobs, their pods and logs, by the API of the cluster that the task runs in."""

from __future__ import annotations

import contextlib
import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from components.train.trainjob.manifest import COMMIT_LABEL, GROUP, PLURAL, VERSION
from pachyderm.errors import PermanentError

SERVICE_ACCOUNT = Path("/var/run/secrets/kubernetes.io/serviceaccount/namespace")

TIMEOUT = (5.0, 15.0)
"""Seconds to connect, and to wait for an answer."""

INDEX = "batch.kubernetes.io/job-completion-index"
"""Annotation and label of a pod of an indexed Job: its number."""


@dataclass(frozen=True)
class NodePod:
    """A pod of a TrainJob.

    Attributes:
        index: number of the node, from 0.
        name: of the pod.
        phase: Pending, Running, Succeeded, Failed or Unknown.
        waits: why it is not running, as the scheduler or the kubelet reports it; empty if it is or was.
        exit_code: of its container; None as long as that has not ended.
        message: what the container wrote when it ended.
        finished: time of its end, RFC 3339; empty as long as it has not ended.
    """

    index: int
    name: str
    phase: str
    waits: str = ""
    exit_code: int | None = None
    message: str = ""
    finished: str = ""


class TrainJobApi:
    """The API.

    Args:
        client: a `kubernetes.client.ApiClient`.
        namespace: of the task.
    """

    def __init__(self, client: Any, namespace: str) -> None:
        from kubernetes.client import CoreV1Api, CustomObjectsApi

        self._objects, self._core = CustomObjectsApi(client), CoreV1Api(client)
        self.namespace = namespace

    def create(self, document: dict[str, Any]) -> None:
        """Create a TrainJob; one of the same name is left as it is.

        Raises:
            PermanentError: the cluster refuses it: no TrainJobs, no such runtime, no permission, an invalid value.
        """
        from kubernetes.client.exceptions import ApiException

        try:
            self._objects.create_namespaced_custom_object(
                GROUP, VERSION, self.namespace, PLURAL, document, _request_timeout=TIMEOUT
            )
        except ApiException as error:
            if error.status != 409:
                raise _explained(error, document, self.namespace) from error

    def get(self, name: str) -> dict[str, Any] | None:
        """Return a TrainJob, or None."""
        from kubernetes.client.exceptions import ApiException

        try:
            found: dict[str, Any] = self._objects.get_namespaced_custom_object(
                GROUP, VERSION, self.namespace, PLURAL, name, _request_timeout=TIMEOUT
            )
        except ApiException as error:
            if error.status == 404:
                return None
            raise
        return found

    def of_commit(self, commit: str) -> list[str]:
        """Return the names of the TrainJobs of an output commit; none if the cluster has no TrainJobs."""
        from kubernetes.client.exceptions import ApiException

        try:
            found = self._objects.list_namespaced_custom_object(
                GROUP,
                VERSION,
                self.namespace,
                PLURAL,
                label_selector=f"{COMMIT_LABEL}={commit}",
                _request_timeout=TIMEOUT,
            )
        except ApiException as error:
            if error.status in (403, 404):  # the create that follows explains it
                return []
            raise
        return sorted(item["metadata"]["name"] for item in found["items"])

    def delete(self, name: str) -> None:
        """Delete a TrainJob with its pods, if it exists; the pods are asked to stop."""
        from kubernetes.client.exceptions import ApiException

        try:
            self._objects.delete_namespaced_custom_object(
                GROUP,
                VERSION,
                self.namespace,
                PLURAL,
                name,
                propagation_policy="Foreground",
                _request_timeout=TIMEOUT,
            )
        except ApiException as error:
            if error.status != 404:
                raise

    def pods(self, name: str) -> list[NodePod]:
        """Return the pods of a TrainJob, by node."""
        selector = f"jobset.sigs.k8s.io/jobset-name={name}"
        listed = self._core.list_namespaced_pod(self.namespace, label_selector=selector, _request_timeout=TIMEOUT)
        return sorted((_pod(item) for item in listed.items), key=lambda pod: pod.index)

    def log(self, pod: str, since: int | None) -> str:
        """Return the lines of a pod's log, each after its time and a space.

        Args:
            pod: name of the pod.
            since: age of the oldest line in seconds; None for all lines.
        """
        from kubernetes.client.exceptions import ApiException

        arguments = {} if since is None else {"since_seconds": since}
        try:
            return str(
                self._core.read_namespaced_pod_log(
                    pod, self.namespace, timestamps=True, _request_timeout=TIMEOUT, **arguments
                )
            )
        except ApiException as error:
            if error.status in (400, 404):  # its container has not started, or it is gone
                return ""
            raise

    def has_queue(self, queue: str) -> bool:
        """Return whether Kueue has a LocalQueue of this name; True if that cannot be found out."""
        from kubernetes.client.exceptions import ApiException

        try:
            self._objects.get_namespaced_custom_object(
                "kueue.x-k8s.io", "v1beta1", self.namespace, "localqueues", queue, _request_timeout=TIMEOUT
            )
        except ApiException as error:
            return error.status != 404
        return True


def connect() -> TrainJobApi:
    """Return the API of the cluster, in a pod or by kubectl's configuration.

    Raises:
        PermanentError: no cluster is configured.
    """
    from kubernetes import client, config

    try:
        config.load_incluster_config()
        namespace = SERVICE_ACCOUNT.read_text().strip()
    except (config.ConfigException, OSError):
        try:
            config.load_kube_config()
            namespace = config.list_kube_config_contexts()[1]["context"].get("namespace", "default")
        except Exception as error:
            raise PermanentError(
                "nodes > 1 needs a Kubernetes cluster with Kubeflow Trainer, and none is configured; set KUBECONFIG,"
                " or nodes to 1"
            ) from error
    configuration = client.Configuration.get_default_copy()
    configuration.retries = False
    return TrainJobApi(client.ApiClient(configuration), namespace)


def _pod(item: Any) -> NodePod:
    metadata, status = item.metadata, item.status
    index = (metadata.annotations or {}).get(INDEX) or (metadata.labels or {}).get(INDEX) or "0"
    conditions = [c for c in status.conditions or () if c.type == "PodScheduled" and c.status == "False"]
    containers = [c for c in status.container_statuses or () if c.name == "node"]
    waits, exit_code, message, finished = "", None, "", ""
    if conditions:
        waits = f"{conditions[0].reason}: {conditions[0].message}"
    for container in containers:
        if container.state.waiting is not None:
            waits = ": ".join(filter(None, (container.state.waiting.reason, container.state.waiting.message)))
        if container.state.terminated is not None:
            ended = container.state.terminated
            exit_code, message = ended.exit_code, (ended.message or ended.reason or "").strip()
            finished = str(ended.finished_at or "")
    return NodePod(int(index), metadata.name, status.phase or "Unknown", waits, exit_code, message, finished)


def _explained(error: Any, document: dict[str, Any], namespace: str) -> Exception:
    """Return the error of a refused create; the error itself if a later attempt may succeed."""
    message = message_of(error)
    reference = document["spec"]["runtimeRef"]
    if error.status == 404:
        return PermanentError(
            f"this cluster has no TrainJobs ({GROUP}/{VERSION}); install Kubeflow Trainer, or set nodes to 1, then:"
            " pix2pix retry"
        )
    if "must be created before the TrainJob" in message:
        return PermanentError(
            f"the {reference['kind']} {reference['name']} does not exist in the namespace {namespace}; apply the"
            " kustomize component trainjob, or name another runtime, then: pix2pix retry"
        )
    if error.status == 403 and "admission webhook" not in message:
        return PermanentError(
            f"the service account of the task may not create TrainJobs in {namespace}; apply the kustomize component"
            f" trainjob, then: pix2pix retry ({message})"
        )
    if error.status in (400, 403, 422):
        return PermanentError(f"the cluster refuses the TrainJob: {message}")
    return error if isinstance(error, Exception) else RuntimeError(message)


def message_of(error: Any) -> str:
    """Return the message of a Kubernetes API error, without its headers."""
    with contextlib.suppress(AttributeError, ValueError, TypeError, KeyError):
        return str(json.loads(error.body)["message"])
    return str(getattr(error, "reason", "") or error)
