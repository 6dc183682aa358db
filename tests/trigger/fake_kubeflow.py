"""A Kubeflow Pipelines API server over HTTP, with the semantics seen on a real one (2.17.0), and scripted faults.

A create is not a lock: every call starts a workflow, and the same name twice makes two runs. The workflow is started
before the run's row is inserted. A terminated run goes through CANCELING and ends as FAILED. Archived runs stay in
lists. Parameters are checked against the uploaded spec: missing, unknown and wrongly typed ones are answered with 400.
"""

from __future__ import annotations

import email.parser
import email.policy
import json
import re
import threading
import time
import urllib.parse
import uuid
from collections.abc import Callable, Iterator
from datetime import UTC, datetime
from http.server import BaseHTTPRequestHandler
from typing import Any

import yaml
from fake_api import FakeApi, answer, body_of, hang

Document = dict[str, Any]
FINAL = ("SUCCEEDED", "FAILED", "SKIPPED", "CANCELED")
FAULTS = ("before", "after", "409", "429", "500", "500-after", "503", "truncated", "wrong-token", "slow", "hang")


class RefusalError(Exception):
    def __init__(self, status: int, message: str) -> None:
        super().__init__(message)
        self.status = status


def now() -> str:
    return datetime.now(UTC).isoformat().replace("+00:00", "Z")


class FakeKubeflow(FakeApi):
    """The server.

    Attributes:
        faults: gives the fault for each request, or None; asked with method and path.
        on_workflow: called in a thread of its own for each workflow, with its run's document.
    """

    def __init__(
        self, on_workflow: Callable[[Document], None] | None = None, token: str = "", refuses_with: int = 401
    ) -> None:
        self.faults: Callable[[str, str], str | None] = lambda method, path: None
        self.on_workflow = on_workflow or (lambda run: None)
        self.token = token
        self.refuses_with = refuses_with
        self.runs: dict[str, Document] = {}
        self.workflows: list[Document] = []
        self.experiments: dict[str, Document] = {}
        self.pipelines: dict[str, Document] = {}
        self.versions: dict[str, Document] = {}
        self.specs: dict[str, Document] = {}
        self.injected: list[str] = []
        self.requests: list[str] = []
        self.page_size = 200
        self._lock = threading.RLock()
        super().__init__()

    def __enter__(self) -> FakeKubeflow:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    # The cluster's effects on a run.
    def advance(self, run_id: str, state: str, message: str = "") -> None:
        """Change a run's state, as the persistence agent reports it; a final state stays."""
        with self._lock:
            run = self.runs[run_id]
            if run["state"] in FINAL:
                return
            if run["state"] == "CANCELING" and state == "SUCCEEDED":
                state = "FAILED"
            run["state"] = state
            run["state_history"].append({"update_time": now(), "state": state})
            if state in FINAL:
                run["finished_at"] = now()
            if message:
                run["error"] = {"code": 2, "message": message}

    def fail(self, run_id: str, task: str, *messages: str, retried: int = 0) -> None:
        """Fail a run in one of its tasks, with the nodes of Argo's workflow as the API returns them.

        Args:
            run_id: the run.
            task: name of the task.
            messages: of the task's attempts, oldest first; none, as KFP 2.17 was seen to answer.
            retried: failed attempts of the task, if there are no messages.
        """
        pipeline = self.runs[run_id]["display_name"].split()[0].replace("_", "-")
        workflow = f"{pipeline}-x7k2p"
        nodes: list[Document] = []

        def node(name: str, parent: Document | None, state: str = "FAILED", message: str = "") -> Document:
            task_id = f"{workflow}-{len(nodes)}"
            document: Document = {"run_id": run_id, "task_id": task_id, "display_name": name, "state": state}
            if parent is not None:
                parent.setdefault("child_tasks", []).append({"task_id": task_id})
            if message:
                document["error"] = {"code": 2, "message": message}
            nodes.append(document)
            return document

        entry = node(f"{workflow}(0)", node(workflow, None), message=f"child '{workflow}-1' failed")
        node("root-driver", entry, "SUCCEEDED")
        root = node("root(0)", node("root", entry))
        node(f"{task}-driver", root, "SUCCEEDED")
        executor = node("executor", node(task, root))
        for number, message in enumerate(messages or [""] * (retried + 1)):
            node(f"executor({number})", executor, message=message)
        with self._lock:
            if self.runs[run_id]["state"] not in FINAL:
                self.runs[run_id]["run_details"] = {"task_details": nodes}
        self.advance(run_id, "FAILED")

    def delete(self, run_id: str) -> None:
        with self._lock:
            del self.runs[run_id]

    def archive(self, run_id: str) -> None:
        self.runs[run_id]["storage_state"] = "ARCHIVED"

    # HTTP.
    def _serve(self, handler: BaseHTTPRequestHandler, method: str) -> None:
        url = urllib.parse.urlsplit(handler.path)
        query = {key: values[-1] for key, values in urllib.parse.parse_qs(url.query).items()}
        body = body_of(handler)
        with self._lock:
            self.requests.append(f"{method} {url.path}")
        fault = self.faults(method, url.path)
        if fault is not None:
            with self._lock:
                self.injected.append(fault)
        if fault == "before":
            handler.close_connection = True
            return
        if fault in ("409", "429", "500", "503"):
            self._answer(handler, int(fault), {"code": 2, "message": f"injected {fault}"}, fault)
            return
        if fault == "slow":
            time.sleep(0.05)
        try:
            self._authenticate(handler)
            status, document = 200, self._route(method, url.path, query, body, handler)
        except RefusalError as no:
            status, document = no.status, {"code": 2, "message": str(no)}
        if fault == "after":
            handler.close_connection = True
            return
        if fault == "hang":
            hang(handler)
            return
        if fault == "500-after":
            status, document = 500, {"code": 13, "message": "injected after the work"}
        if fault == "wrong-token" and "runs" in document:
            document = {**document, "next_page_token": "no such token"}
        self._answer(handler, status, document, fault)

    def _authenticate(self, handler: BaseHTTPRequestHandler) -> None:
        if self.token and handler.headers.get("Authorization") != f"Bearer {self.token}":
            raise RefusalError(self.refuses_with, "the token is refused")

    def _answer(self, handler: BaseHTTPRequestHandler, status: int, document: Document, fault: str | None) -> None:
        headers = {"429": {"Retry-After": "0"}, "html": {"Content-Type": "text/html"}}.get(fault or "")
        answer(handler, status, document, headers, cut=fault == "truncated")

    def _route(self, method: str, path: str, query: Document, body: bytes, handler: BaseHTTPRequestHandler) -> Document:
        for verb, pattern, function in self._routes():
            match = re.fullmatch(f"/apis/v2beta1/{pattern}", path)
            if verb == method and match:
                if pattern.endswith("upload_version"):
                    return self._upload(query, body, handler.headers["Content-Type"])
                return function(*match.groups(), query, json.loads(body) if body else {})
        raise RefusalError(404, f"no such method: {method} {path}")

    def _routes(self) -> Iterator[tuple[str, str, Callable[..., Document]]]:
        yield "GET", "healthz", lambda query, body: {"multi_user": False}
        yield "GET", "experiments", lambda query, body: self._listed("experiments", self.experiments, query)
        yield "POST", "experiments", self._create_experiment
        yield "GET", "pipelines", lambda query, body: self._listed("pipelines", self.pipelines, query)
        yield "POST", "pipelines", self._create_pipeline
        yield "POST", "pipelines/upload_version", lambda query, body: {}
        yield "GET", "pipelines/([^/]+)/versions", self._list_versions
        yield "GET", "runs", self._list_runs
        yield "POST", "runs", self._create_run
        yield "GET", "runs/([^/:]+)", self._get_run
        yield "POST", "runs/([^/:]+):terminate", self._terminate

    def _create_experiment(self, query: Document, body: Document) -> Document:
        with self._lock:
            if any(entry["display_name"] == body["display_name"] for entry in self.experiments.values()):
                raise RefusalError(409, "the experiment exists")
            document = {**body, "experiment_id": str(uuid.uuid4()), "created_at": now()}
            self.experiments[document["experiment_id"]] = document
            return document

    def _create_pipeline(self, query: Document, body: Document) -> Document:
        with self._lock:
            if any(entry["name"] == body["name"] for entry in self.pipelines.values()):
                raise RefusalError(409, "the name is taken")
            document = {**body, "pipeline_id": str(uuid.uuid4()), "created_at": now()}
            self.pipelines[document["pipeline_id"]] = document
            return document

    def _list_versions(self, pipeline: str, query: Document, body: Document) -> Document:
        of_it = {key: entry for key, entry in self.versions.items() if entry["pipeline_id"] == pipeline}
        return self._listed("pipeline_versions", of_it, query)

    def _upload(self, query: Document, body: bytes, content_type: str) -> Document:
        head = f"Content-Type: {content_type}\r\n\r\n".encode()
        (part,) = email.parser.BytesParser(policy=email.policy.HTTP).parsebytes(head + body).iter_parts()
        spec = next(iter(yaml.safe_load_all(part.get_payload(decode=True))))
        with self._lock:
            if query["pipelineid"] not in self.pipelines:
                raise RefusalError(500, "no such pipeline")
            if any(entry["name"] == query["name"] for entry in self.versions.values()):
                raise RefusalError(409, "the name is taken")
            document = {
                "pipeline_version_id": str(uuid.uuid4()),
                "pipeline_id": query["pipelineid"],
                "name": query["name"],
                "display_name": query.get("display_name", query["name"]),
                "created_at": now(),
            }
            self.versions[document["pipeline_version_id"]] = document
            self.specs[document["pipeline_version_id"]] = spec
            return document

    def _create_run(self, query: Document, body: Document) -> Document:
        with self._lock:
            if body.get("experiment_id") and body["experiment_id"] not in self.experiments:
                raise RefusalError(404, "no such experiment")
            version = body["pipeline_version_reference"]["pipeline_version_id"]
            if version not in self.specs:
                raise RefusalError(500, "no such version")
            self._check(self.specs[version], body.get("runtime_config", {}).get("parameters", {}))
            document = {
                **body,
                "run_id": str(uuid.uuid4()),
                "state": "PENDING",
                "storage_state": "AVAILABLE",
                "created_at": now(),
                "finished_at": "1970-01-01T00:00:00Z",
                "state_history": [{"update_time": now(), "state": "PENDING"}],
            }
            self.workflows.append(document)
            if len(body["display_name"]) > 255 or len(body.get("description", "")) > 255:
                raise RefusalError(500, "Data too long for column")
            self.runs[document["run_id"]] = document
        threading.Thread(target=self.on_workflow, args=(document,), daemon=True).start()
        return document

    def _check(self, spec: Document, given: Document) -> None:
        declared = spec["root"].get("inputDefinitions", {}).get("parameters", {})
        for name in given:
            if name not in declared:
                raise RefusalError(400, f"parameter {name} is not in the pipeline spec")
        for name, what in declared.items():
            if name not in given:
                if not what.get("isOptional") and "defaultValue" not in what:
                    raise RefusalError(400, f"parameter {name} is required")
                continue
            kinds = {"STRING": str, "NUMBER_INTEGER": (int, float), "NUMBER_DOUBLE": (int, float), "BOOLEAN": bool}
            if not isinstance(given[name], kinds.get(what["parameterType"], object)):
                raise RefusalError(400, f"input parameter {name} requires type {what['parameterType'].lower()}")

    def _get_run(self, run: str, query: Document, body: Document) -> Document:
        if run not in self.runs:
            raise RefusalError(404, f"Run {run} not found")
        return self.runs[run]

    def _terminate(self, run: str, query: Document, body: Document) -> Document:
        with self._lock:
            if run not in self.runs or self.runs[run]["state"] in (*FINAL, "CANCELING"):
                raise RefusalError(400, "Row not found")
        self.advance(run, "CANCELING")
        return {}

    def _list_runs(self, query: Document, body: Document) -> Document:
        if query.get("experiment_id") and query["experiment_id"] not in self.experiments:
            raise RefusalError(404, "no such experiment")
        return self._listed("runs", self.runs, query)

    def _listed(self, name: str, rows: dict[str, Document], query: Document) -> Document:
        with self._lock:
            found = [dict(row) for row in rows.values()]
        if query.get("experiment_id"):
            found = [row for row in found if row.get("experiment_id") == query["experiment_id"]]
        for predicate in json.loads(query.get("filter") or "{}").get("predicates", []):
            key = predicate["key"]
            if key == "job_id":
                raise RefusalError(400, f"no such filter key: {key}")
            value = predicate.get("stringValue", "")
            columns = ("name", "display_name") if key == "name" else (key,)
            if predicate["operation"] == "EQUALS":
                found = [row for row in found if value in [row.get(column) for column in columns]]
            elif predicate["operation"] == "IS_SUBSTRING":
                found = [row for row in found if any(value in (row.get(column) or "") for column in columns)]
            else:
                raise RefusalError(400, f"no such operation: {predicate['operation']}")
        found.sort(key=lambda row: row["created_at"], reverse="desc" in query.get("sort_by", ""))
        token = query.get("page_token") or "0"
        if not token.isdigit():
            raise RefusalError(400, "the page token is wrong")
        begin, size = int(token), min(int(query.get("page_size") or 20), self.page_size)
        more = {"next_page_token": str(begin + size)} if begin + size < len(found) else {}
        return {name: found[begin : begin + size], "total_size": len(found), **more}
