"""Diagnosis of a failed Kubeflow run: which tasks failed, why, and whether they failed or were killed."""

from __future__ import annotations

import re
from collections.abc import Collection, Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from workflows.runners.runner import Phase

_OUT_OF_MEMORY = re.compile(r"OOMKilled")
_KILLED = re.compile(
    r"pod deleted|evict|preempt|node ?lost|node (?:is )?shut(?:ting)? ?down|node was low on resource"
    r"|terminated due to node|exit code (?:137|143)\b",
    re.IGNORECASE,
)
"""Messages of Argo and the kubelet about a container that was killed (128 + SIGKILL or SIGTERM)."""

_NO_CAUSE = re.compile(r"child '.*' failed|.* have failed|Max duration limit exceeded")
"""Argo's messages about a node whose child failed; they name no cause."""

_RETRY = re.compile(r"\(\d+\)$")
_DRIVER = "-driver"


@dataclass(frozen=True)
class Failure:
    """How a run failed; see `RunState` for the attributes."""

    phase: Phase
    error: str
    certain: bool


def failure_of(run: Any, tasks: Mapping[str, str], remedy: str, logs: str) -> Failure:
    """Diagnose a run that failed.

    Kubeflow's API returns one entry for each node of the Argo workflow: the tasks, and around each of them a driver, an
    executor and their retries, below a root. Only the tasks are named here.

    Args:
        run: a ``V2beta1Run`` in a failed state.
        tasks: name of each of the pipeline's tasks -> name for people.
        remedy: advice for a task that ran out of memory.
        logs: where people find more: a link, a command.
    """
    details = (run.run_details.task_details if run.run_details else None) or ()
    nodes = _Nodes(details, tasks)
    failed, messages = nodes.failed(), nodes.messages()
    overall = _line(run.error.message if run.error else "")
    if not messages and overall and not _NO_CAUSE.fullmatch(overall):
        messages = [("", overall)]
    names = f"task {', '.join(failed)}" if failed else "a task"
    for task, message in messages:
        subject = f"task {task}" if task else names
        if _OUT_OF_MEMORY.search(message):
            return Failure(Phase.FAILED, f"{subject} ran out of memory: {message}; {remedy}", True)
    for task, message in messages:
        if not _KILLED.search(message):
            subject = f"task {task} failed" if task else f"{names} failed" if failed else ""
            return Failure(Phase.FAILED, f"{subject}: {message}; {logs}".removeprefix(": "), True)
    if messages:
        task, message = messages[-1]
        return Failure(Phase.INTERRUPTED, f"{f'task {task}' if task else names} was killed: {message}", True)
    unknown = "Kubeflow reports no cause" if run.state == "FAILED" else f"it ended as {run.state}"
    return Failure(Phase.FAILED, f"{names} failed, and {unknown}; {logs}", False)


class _Nodes:
    """The nodes of a run's workflow, and the tasks that they belong to."""

    def __init__(self, details: Collection[Any], tasks: Mapping[str, str]) -> None:
        self._tasks = tasks
        self._nodes = {node.task_id: node for node in details}
        self._parents = {node.task_id: node.parent_task_id for node in details if node.parent_task_id}
        for node in details:
            self._parents.update({child.task_id: node.task_id for child in node.child_tasks or () if child.task_id})

    def failed(self) -> list[str]:
        """Return the tasks that failed, sorted by name."""
        nodes = (node for node in self._nodes.values() if node.state == "FAILED")
        return sorted({task for node in nodes if (task := self._own_task(node))})

    def messages(self) -> list[tuple[str, str]]:
        """Return (task or empty, message) of each failed node that names a cause, in the server's order.

        A task that failed and then succeeded on a retry is left out.
        """
        failed = self.failed()
        return [
            (task, message)
            for node in self._nodes.values()
            if node.state == "FAILED" and ((task := self._task(node)) in failed or not failed)
            for message in dict.fromkeys(map(_line, _texts(node)))
            if message and not _NO_CAUSE.fullmatch(message)
        ]

    def _own_task(self, node: Any) -> str:
        """Return the task that a node runs or drives, by the node's own name; empty for Argo's other nodes."""
        name = _RETRY.sub("", node.display_name or "").removesuffix(_DRIVER)
        return self._tasks.get(name, "")

    def _task(self, node: Any) -> str:
        """Return the nearest task on the way from a node to the root; if there is none, the only task that failed."""
        seen: set[str] = set()
        ancestor: Any = node
        while ancestor is not None and ancestor.task_id not in seen:
            if task := self._own_task(ancestor):
                return task
            seen.add(ancestor.task_id)
            ancestor = self._nodes.get(self._parents.get(ancestor.task_id, ""))
        failed = self.failed()
        return failed[0] if len(failed) == 1 else ""


def _texts(node: Any) -> Iterator[str]:
    for status in node.state_history or ():
        if status is not None and status.error is not None:
            yield status.error.message or ""
    if node.error is not None:
        yield node.error.message or ""


def _line(text: str | None) -> str:
    return " ".join((text or "").split())
