"""A Kubernetes API server with Kubeflow Trainer: TrainJobs, their pods and logs, and Kueue's LocalQueues.

It refuses what the real ones refuse, in their words (Kubeflow Trainer 2.3, `trainer.kubeflow.org/v1alpha1`): an unknown
field, a runtime that does not exist, a second TrainJob of one name. Names, types and bounds of fields are those of the
custom resource definition.
"""

from __future__ import annotations

import re
import sys
import threading
import urllib.parse
from collections.abc import Callable
from http.server import BaseHTTPRequestHandler
from json import loads
from pathlib import Path
from typing import Any

sys.path.append(str(Path(__file__).parent.parent / "trigger"))
from fake_api import FakeApi, answer, body_of, hang

Document = dict[str, Any]
JOBS = "/apis/trainer.kubeflow.org/v1alpha1/namespaces/team/trainjobs"
NAME = re.compile(r"[a-z]([-a-z0-9]*[a-z0-9])?")
RESOURCE = r"(?:/apis/([^/]+)/[^/]+|/api/v1)/namespaces/team/([a-z]+)(?:/([^/]+))?(/log)?"


class FakeTrainer(FakeApi):
    """The server; its one namespace is ``team``.

    Attributes:
        jobs: name -> TrainJob.
        pods: name -> pod.
        logs: pod -> (RFC 3339 time, line) of its log.
        runtimes: names of the TrainingRuntimes.
        queues: names of the LocalQueues.
        installed: whether the cluster has TrainJobs at all.
        allowed: whether the task may create them.
        requests: (verb, API group, resource) of each request, as an authorizer sees it.
        created: names of the TrainJobs that were ever created, oldest first.
        on_read: called with a TrainJob each time it is read; plays its controller.
        lingering: how often a deleted TrainJob is still read, since its pods have not ended.
        faults: gives a status to answer instead, or ``after`` (do it and break the connection), or ``hang``, or None.
    """

    def __init__(self) -> None:
        self.jobs: dict[str, Document] = {}
        self.pods: dict[str, Document] = {}
        self.logs: dict[str, list[tuple[str, str]]] = {}
        self.runtimes, self.queues = {"pix2pix-training"}, {"gpus"}
        self.installed = self.allowed = True
        self.requests: list[tuple[str, str, str]] = []
        self.created: list[str] = []
        self.deleted: list[str] = []
        self.on_read: Callable[[Document], None] = lambda job: None
        self.lingering = 1
        self.faults: Callable[[str, str], str | None] = lambda method, path: None
        self._lock = threading.RLock()
        super().__init__()

    def __enter__(self) -> FakeTrainer:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def end(self, job: Document, kind: str, message: str = "") -> None:
        """Set a TrainJob's condition, as its controller copies it from the JobSet."""
        reason = {"Complete": "AllJobsCompleted", "Failed": "FailedJobs", "Suspended": "Suspended"}[kind]
        condition = {"type": kind, "status": "True", "reason": reason, "message": message}
        job.setdefault("status", {}).setdefault("conditions", []).append(condition)

    def set_pod(self, job: Document, index: int, phase: str, **state: Any) -> str:
        """Set a pod of a TrainJob; `state` is the container's: waiting, running or terminated."""
        name = f"{job['metadata']['name']}-node-0-{index}-x2k4p"
        self.pods[name] = {
            "metadata": {
                "name": name,
                "annotations": {"batch.kubernetes.io/job-completion-index": str(index)},
                "labels": {"jobset.sigs.k8s.io/jobset-name": job["metadata"]["name"]},
            },
            "status": {
                "phase": phase,
                "conditions": state.pop("conditions", []),
                "containerStatuses": [
                    {"name": "node", "image": "", "imageID": "", "ready": False, "restartCount": 0, "state": state}
                ],
            },
        }
        return name

    def _serve(self, handler: BaseHTTPRequestHandler, method: str) -> None:
        body = body_of(handler)
        fault = self.faults(method, handler.path)
        if fault == "hang":
            hang(handler)
            return
        if fault is not None and fault.isdigit():
            answer(handler, int(fault), {"kind": "Status", "message": f"injected {fault}"})
            return
        url = urllib.parse.urlsplit(handler.path)
        query = {key: values[-1] for key, values in urllib.parse.parse_qs(url.query).items()}
        with self._lock:
            status, document = self._do(method, url.path, query, loads(body) if body else {})
        if fault == "after":
            handler.close_connection = True
        elif isinstance(document, str):
            handler.send_response(status)
            handler.send_header("Content-Type", "text/plain")
            handler.send_header("Content-Length", str(len(document.encode())))
            handler.end_headers()
            handler.wfile.write(document.encode())
        else:
            answer(handler, status, document)

    def _do(self, method: str, path: str, query: Document, body: Document) -> tuple[int, Any]:
        match = re.fullmatch(RESOURCE, path)
        if match is None:
            return 404, "404 page not found\n"
        group, resource, name, log = match[1] or "", match[2], match[3], match[4] or ""
        verb = {"GET": "get" if name else "list", "POST": "create", "DELETE": "delete"}[method]
        self.requests.append((verb, group, resource + log))
        if resource == "trainjobs":
            if not self.installed:
                return 404, "404 page not found\n"
            return self._trainjob(verb, name, query, body)
        if resource == "localqueues":
            return (200, {"metadata": {"name": name}}) if name in self.queues else (404, status_of(404, "not found"))
        if log:
            # A server leaves out what is older than sinceSeconds; a client must not depend on the exact bound.
            return 200, "".join(f"{moment} {line}\n" for moment, line in self.logs.get(name, []))
        selected = query["labelSelector"].partition("=")[2]
        items = [
            pod for pod in self.pods.values() if pod["metadata"]["labels"]["jobset.sigs.k8s.io/jobset-name"] == selected
        ]
        return 200, {"kind": "PodList", "apiVersion": "v1", "items": items}

    def _trainjob(self, verb: str, name: str | None, query: Document, body: Document) -> tuple[int, Any]:
        if verb == "create":
            return self._create(body)
        if verb == "list":
            key, _, value = query["labelSelector"].partition("=")
            return 200, {"items": [job for job in self.jobs.values() if job["metadata"]["labels"].get(key) == value]}
        job = self.jobs.get(name or "")
        if job is None:
            return 404, status_of(404, f'trainjobs.trainer.kubeflow.org "{name}" not found')
        if verb == "delete":
            job["metadata"]["deletionTimestamp"] = "2026-11-27T21:00:00Z"
            self.deleted.append(str(name))
            job["lingers"] = self.lingering
            if query.get("propagationPolicy") != "Foreground" or not self.lingering:
                del self.jobs[str(name)]
            return 200, job
        if "lingers" in job:
            job["lingers"] -= 1
            if job["lingers"] < 0:
                del self.jobs[str(name)]
                return 404, status_of(404, f'trainjobs.trainer.kubeflow.org "{name}" not found')
            return 200, job
        self.on_read(job)
        return 200, job

    def _create(self, body: Document) -> tuple[int, Document]:
        name = body["metadata"]["name"]
        if not self.allowed:
            user = 'User "system:serviceaccount:team:pipeline-runner" cannot create resource "trainjobs"'
            return 403, status_of(403, f"trainjobs.trainer.kubeflow.org is forbidden: {user}")
        if name in self.jobs:
            return 409, status_of(409, f'trainjobs.trainer.kubeflow.org "{name}" already exists')
        problems = problems_of(body)
        if problems:
            return 422, status_of(422, f'TrainJob "{name}" is invalid: {"; ".join(problems)}')
        reference = body["spec"]["runtimeRef"]
        if reference["name"] not in self.runtimes:
            kind = reference["kind"][0].lower() + reference["kind"][1:]
            message = (
                'admission webhook "validator.trainjob.trainer.kubeflow.org" denied the request: spec.runtimeRef:'
                f" Invalid value: {reference}: {kind}s.trainer.kubeflow.org {reference['name']!r} not found:"
                f" specified {kind} must be created before the TrainJob is created"
            )
            return 403, status_of(403, message)
        body["metadata"]["uid"] = f"uid-{len(self.created)}"
        self.jobs[name] = body
        self.created.append(name)
        return 201, body


def status_of(code: int, message: str) -> Document:
    return {"kind": "Status", "apiVersion": "v1", "status": "Failure", "code": code, "message": message}


SCHEMA: Document = {
    "apiVersion": str,
    "kind": str,
    "metadata": {"name": str, "labels": {str: str}, "annotations": {str: str}},
    "spec": {
        "runtimeRef": {"name": str, "apiGroup": str, "kind": str},
        "trainer": {
            "image": str,
            "command": [str],
            "args": [str],
            "env": [{"name": str, "value": str, "valueFrom": dict}],
            "numNodes": int,
            "numProcPerNode": int,
            "resourcesPerNode": {"limits": {str: str}, "requests": {str: str}},
        },
        "suspend": bool,
        "activeDeadlineSeconds": int,
        "managedBy": str,
    },
}
"""The fields of a TrainJob that we could set, with their types, as its custom resource definition has them."""


def problems_of(body: Document) -> list[str]:
    """Return what the custom resource definition, or the webhook, finds wrong with a TrainJob."""
    problems = list(_differences(body, SCHEMA, ""))
    if (body["apiVersion"], body["kind"]) != ("trainer.kubeflow.org/v1alpha1", "TrainJob"):
        problems.append("apiVersion and kind")
    name = body["metadata"]["name"]
    # The longest name of a pod is <name>-node-0-<index>-xxxxx, and a host's name has at most 63 characters.
    if not NAME.fullmatch(name) or len(name) > 50:
        problems.append(f"metadata.name: {name}")
    for key, value in body["metadata"].get("labels", {}).items():
        if not re.fullmatch(r"([a-z0-9.-]+/)?[A-Za-z0-9]([-A-Za-z0-9_.]{0,61}[A-Za-z0-9])?", key) or not re.fullmatch(
            r"([A-Za-z0-9]([-A-Za-z0-9_.]{0,61}[A-Za-z0-9])?)?", value
        ):
            problems.append(f"metadata.labels: {key}={value}")
    return problems


def _differences(value: Any, schema: Any, path: str) -> list[str]:
    if isinstance(schema, type):
        return [] if type(value) is schema else [f"{path}: {value!r} is not a {schema.__name__}"]
    if isinstance(schema, list):
        return [text for entry in value for text in _differences(entry, schema[0], f"{path}[]")]
    if str in schema:
        return [text for key, entry in value.items() for text in _differences(entry, schema[str], f"{path}.{key}")]
    found = [f"unknown field {path}.{key}" for key in value if key not in schema]
    return found + [
        text for key in value if key in schema for text in _differences(value[key], schema[key], f"{path}.{key}")
    ]
