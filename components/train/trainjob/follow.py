"""Follows a TrainJob: waits for its pods, relays the log of node 0, and reports how it ended."""

from __future__ import annotations

import logging
import re
import time
from collections.abc import Callable, Iterator, Sequence
from typing import Any

import grpc

from components.train.trainjob.cluster import NodePod, TrainJobApi, message_of
from components.train.trainjob.worker_exit import PERMANENT
from pachyderm.errors import PermanentError
from pachyderm.output.stage import StageContext
from pix2pix.errors import WorkError

logger = logging.getLogger(__name__)

POLL = 5.0
"""Seconds between two looks at the TrainJob."""

OVERLAP = 5
"""Seconds of the log that are read twice, against clocks that differ; lines already seen are left out by their time."""

_PROGRESS = re.compile(r" train (\d+)/(\d+)(?: \([^)]*\))? ?(.*)")


class Follower:
    """One TrainJob, followed by one attempt of the train task.

    Args:
        api: of the cluster.
        job: the output commit's work.
        name: of the TrainJob.
        nodes: how many it has.
        queue: Kueue's LocalQueue; empty for none.
        clock: returns seconds.
    """

    def __init__(
        self,
        api: TrainJobApi,
        job: StageContext,
        name: str,
        nodes: int,
        queue: str,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._api, self._job, self._name, self._nodes, self._queue = api, job, name, nodes, queue
        self._clock = clock
        self._last_line, self._waits = "", ""
        self._read_at: float | None = None
        self._unreachable = False

    def remove_others(self) -> None:
        """Delete the TrainJobs of other runs at the same commit, whose claims have ended, and wait for their pods."""
        for name in self._call(lambda: self._api.of_commit(self._job.commit.id), []):
            if name != self._name:
                logger.info("deleting the TrainJob %s of a run that has lost %s", name, self._job.commit)
                self._remove_and_wait(name)

    def adopt(self) -> bool:
        """Adopt the TrainJob of an earlier attempt of this run if it is alive or complete; else delete it."""
        found = self._until_answered(lambda: self._api.get(self._name))
        if found is not None and (found["metadata"].get("deletionTimestamp") or _condition(found, "Failed")):
            self._remove_and_wait(self._name)
            found = None
        if found is not None:
            logger.info("adopting the TrainJob %s, which an earlier attempt of this run created", self._name)
        return found is not None

    def create(self, document: dict[str, Any]) -> None:
        """Create the TrainJob.

        Raises:
            PermanentError: the cluster refuses it.
        """
        self._until_answered(lambda: self._api.create(document))
        logger.info("created the TrainJob %s with %d nodes", self._name, self._nodes)

    def follow(self) -> None:
        """Return once the TrainJob is complete.

        Raises:
            PermanentError: a node reported that no retry can succeed.
            WorkError: it failed otherwise, or was deleted.
            LostClaimError: another attempt has taken the output commit over.
        """
        while True:
            self._check_claim()
            found = self._until_answered(lambda: self._api.get(self._name))
            if found is None:
                raise WorkError(f"the TrainJob {self._name} was deleted while it ran; the next attempt goes on")
            pods = self._call(lambda: self._api.pods(self._name), [])
            self._relay(pods)
            failed = _condition(found, "Failed")
            if failed is not None:
                raise _failure(self._name, failed, pods)
            if _condition(found, "Complete") is not None:
                self._report_wait("")
                return
            self._report_wait(self._what_it_waits_for(found, pods))
            self._job.pause(POLL)

    def _check_claim(self) -> None:
        try:
            self._job.check()
        except grpc.RpcError as error:
            # The nodes train on without Pachyderm, and watch the claim themselves.
            logger.warning("the claim cannot be checked: %s", error)

    def remove(self) -> None:
        """Delete the TrainJob; if that fails, log how to do it."""
        try:
            self._api.delete(self._name)
        except Exception as error:  # noqa: BLE001 - the result stands, or another error is on its way
            logger.warning(
                "the TrainJob %s was not deleted: %s; its nodes will stop; to remove it: kubectl delete trainjob %s",
                *(self._name, message_of(error), self._name),
            )

    def _remove_and_wait(self, name: str) -> None:
        self._until_answered(lambda: self._api.delete(name))
        while self._until_answered(lambda: self._api.get(name)) is not None:
            self._report_wait(f"the end of the TrainJob {name}, which was deleted")
            self._job.pause(POLL)

    def _what_it_waits_for(self, found: dict[str, Any], pods: Sequence[NodePod]) -> str:
        if _condition(found, "Suspended") is not None:
            if not self._queue:
                return f"the TrainJob {self._name}, which is suspended"
            if not self._api.has_queue(self._queue):
                return f"the queue {self._queue}, which does not exist in the namespace {self._api.namespace}"
            return f"the queue {self._queue} of Kueue, which has not admitted the TrainJob {self._name}"
        if not pods:
            return f"the pods of the TrainJob {self._name}"
        for pod in pods:
            if pod.phase == "Pending":
                return f"node {pod.index} of {self._nodes}: {pod.waits or 'pending'}"
        return ""

    def _report_wait(self, text: str) -> None:
        if text != self._waits:
            self._waits = text
            self._job.waits(text)
            logger.info("%s", f"waiting for {text}" if text else "all nodes run")

    def _relay(self, pods: Sequence[NodePod]) -> None:
        """Log the new lines of node 0; its progress becomes the task's."""
        first = next((pod for pod in pods if pod.index == 0 and pod.phase != "Pending"), None)
        if first is None:
            return
        now = self._clock()
        since = None if self._read_at is None else int(now - self._read_at) + OVERLAP
        text = self._call(lambda: self._api.log(first.name, since), "")
        self._read_at = now
        for line in self._new_lines(text):
            progress = _PROGRESS.search(line)
            if progress:
                self._job.progress(int(progress[1]), int(progress[2]), progress[3])
            else:
                logger.info("node 0: %s", line)

    def _new_lines(self, text: str) -> Iterator[str]:
        for entry in text.splitlines():
            moment, _, line = entry.partition(" ")
            # Kubernetes drops zeros at the end of the fraction, so the texts are compared at one length.
            moment = moment.removesuffix("Z").ljust(30, "0")
            if moment > self._last_line:
                self._last_line = moment
                yield line

    def _until_answered(self, request: Callable[[], Any]) -> Any:
        """Repeat a request until the cluster answers; a refusal is raised."""
        while True:
            try:
                answer = request()
            except Exception as error:
                if not _is_passing(error):
                    raise
                self._note_absence(error)
                self._job.pause(POLL)
            else:
                self._unreachable = False
                return answer

    def _call(self, request: Callable[[], Any], otherwise: Any) -> Any:
        """Return the answer to a request that can be left out; what the cluster refuses is left out too."""
        try:
            return request()
        except Exception as error:
            from kubernetes.client.exceptions import ApiException

            if not isinstance(error, ApiException) and not _is_passing(error):
                raise
            self._note_absence(error)
            return otherwise

    def _note_absence(self, error: Exception) -> None:
        if not self._unreachable:
            self._unreachable = True
            logger.warning("the Kubernetes API does not answer: %s; trying again", message_of(error))


def _is_passing(error: Exception) -> bool:
    """Whether a request may be answered later: no answer, too many requests, or an error of the server."""
    from kubernetes.client.exceptions import ApiException
    from urllib3.exceptions import HTTPError

    if isinstance(error, ApiException):
        return error.status in (None, 0, 429) or error.status >= 500
    return isinstance(error, HTTPError)


def _condition(found: dict[str, Any], kind: str) -> dict[str, Any] | None:
    conditions: list[dict[str, Any]] = found.get("status", {}).get("conditions", [])
    return next((entry for entry in conditions if entry["type"] == kind and entry["status"] == "True"), None)


def _failure(name: str, failed: dict[str, Any], pods: Sequence[NodePod]) -> Exception:
    """Return the error of a failed TrainJob: what the node that ended first wrote, or the TrainJob's own reason."""
    ended = [pod for pod in pods if pod.exit_code]
    own = f"{failed.get('reason', '')}: {failed.get('message', '')}".strip(": ")
    if not ended:
        return WorkError(f"the TrainJob {name} failed: {own}")
    refused = [pod for pod in ended if pod.exit_code == PERMANENT]
    first = min(refused or ended, key=lambda pod: (pod.finished, pod.index))
    text = f"node {first.index} exited with {first.exit_code}: {first.message or own}"
    return PermanentError(first.message or text) if refused else WorkError(text)
