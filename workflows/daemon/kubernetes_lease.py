"""Keeps one trigger of a cluster acting, by a Kubernetes Lease (`coordination.k8s.io/v1`).

It exists because Kubeflow's API is no lock: two creates at once start two workflows. The rules are client-go's: a lead
is taken when the lease has not changed for its duration as the observer's own clock saw it, every write carries the
resource version that was read, and a leader that could not renew in time stops acting before another may begin.
"""

from __future__ import annotations

import logging
import math
import threading
from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from workflows.errors import RunInputError, RunnerUnreachableError

logger = logging.getLogger(__name__)

_NAMESPACE_FILE = Path("/var/run/secrets/kubernetes.io/serviceaccount/namespace")


@dataclass(frozen=True)
class LeaseSettings:
    """The Kubernetes Lease that keeps one trigger acting, used with the Kubeflow runner.

    Attributes:
        name: of the Lease; empty: no lease.
        namespace: of the Lease; empty: the pod's own.
        seconds: after which a lead that is not renewed may be taken.
        renew_within: seconds within which it must be renewed, or the trigger stops acting; less than `seconds`.
        retry: seconds between two tries.
    """

    name: str = "pix2pix-trigger"
    namespace: str = ""
    seconds: float = 15.0
    renew_within: float = 10.0
    retry: float = 2.0


@dataclass(frozen=True)
class _Record:
    """What was last read of the lease, and when by our clock it was first seen like that."""

    version: str
    holder: str
    seconds: float
    transitions: int
    since: float


class KubernetesLease:
    """The lead by a Lease; see `Leadership`. `step` takes or renews it; `begin` does so from a thread.

    Args:
        api: a `kubernetes.client.CoordinationV1Api`.
        settings: name, namespace and times.
        me: identity, unique among triggers.
        steady: seconds from an arbitrary start.
        wall: seconds since 1970; written for people, never compared.
    """

    def __init__(
        self,
        api: Any,
        settings: LeaseSettings,
        me: str,
        steady: Callable[[], float],
        wall: Callable[[], float],
    ) -> None:
        self._api = api
        self._settings = settings
        self._me = me
        self._steady = steady
        self._wall = wall
        self._seen: _Record | None = None
        self._renewed: float | None = None
        self._stop = threading.Event()
        self._thread: threading.Thread | None = None

    def is_leader(self) -> bool:
        """See `Leadership.is_leader`; by our own clock, so a process that was paused knows that it lost the lead."""
        renewed = self._renewed
        return renewed is not None and self._steady() - renewed < self._settings.renew_within

    def holder(self) -> str:
        """See `Leadership.holder`."""
        return self._seen.holder if self._seen is not None else ""

    def begin(self) -> None:
        """Try for the lead now, and again and again from a thread."""
        self.step()
        self._thread = threading.Thread(target=self._keep, name="lease", daemon=True)
        self._thread.start()

    def release(self) -> None:
        """See `Leadership.release`."""
        self._stop.set()
        if self._thread is not None:
            # A step may be under way: two requests, each with its timeout.
            self._thread.join(self._settings.retry * 5)
        if self.is_leader() and self._seen is not None:
            try:
                self._write(self._seen, holder="", seconds=1)
            except Exception as error:  # noqa: BLE001 - it runs out by itself
                logger.info("the lease was not given up: %s", error)
        self._renewed = None

    def step(self) -> bool:
        """Take or renew the lead once; False where another has it, or the API does not answer."""
        # The time before the request: what is acknowledged was in force from then on at the latest.
        now = self._steady()
        try:
            if self._try():
                if self._renewed is None or now - self._renewed >= self._settings.renew_within:
                    logger.info("%s leads", self._me)
                self._renewed = now
                return True
        except Exception as error:  # noqa: BLE001 - whatever it was, the lead is not renewed, and runs out by itself
            logger.warning(
                "the lease %s cannot be renewed: %s", self._settings.name, " ".join(str(error).split())[:300]
            )
            return False
        self._renewed = None
        return False

    def _keep(self) -> None:
        while not self._stop.wait(self._settings.retry):
            self.step()

    def _try(self) -> bool:
        from kubernetes.client.exceptions import ApiException

        try:
            lease = self._api.read_namespaced_lease(
                self._settings.name, self._settings.namespace, _request_timeout=self._settings.retry * 2
            )
        except ApiException as error:
            if error.status != 404:
                raise
            return self._create()
        self._seen = self._observed(lease)
        mine = self._seen.holder == self._me
        expired = not self._seen.holder or self._steady() - self._seen.since >= self._seen.seconds
        if not mine and not expired:
            return False
        return self._write(self._seen, self._me, self._settings.seconds)

    def _observed(self, lease: Any) -> _Record:
        version = lease.metadata.resource_version
        if self._seen is not None and self._seen.version == version:
            return self._seen
        spec = lease.spec  # may be missing: who may take a Lease may have been told beforehand by an empty one
        return _Record(
            version=version,
            holder=(spec and spec.holder_identity) or "",
            seconds=float((spec and spec.lease_duration_seconds) or self._settings.seconds),
            transitions=(spec and spec.lease_transitions) or 0,
            since=self._steady(),
        )

    def _create(self) -> bool:
        return self._accepted(
            lambda: self._api.create_namespaced_lease(
                self._settings.namespace,
                self._body(None, self._me, self._settings.seconds, 0),
                _request_timeout=self._settings.retry * 2,
            )
        )

    def _write(self, seen: _Record, holder: str, seconds: float) -> bool:
        transitions = seen.transitions + (seen.holder != holder)
        return self._accepted(
            lambda: self._api.replace_namespaced_lease(
                self._settings.name,
                self._settings.namespace,
                self._body(seen.version, holder, seconds, transitions),
                _request_timeout=self._settings.retry * 2,
            )
        )

    def _accepted(self, write: Callable[[], Any]) -> bool:
        from kubernetes.client.exceptions import ApiException

        try:
            self._seen = self._observed(write())
        except ApiException as error:
            if error.status != 409:
                raise
            # Somebody else wrote first; the next step reads what.
            return False
        return True

    def _body(self, version: str | None, holder: str, seconds: float, transitions: int) -> Any:
        from kubernetes.client import V1Lease, V1LeaseSpec, V1ObjectMeta

        now = datetime.fromtimestamp(self._wall(), UTC)
        # The API takes a MicroTime with all six digits alone, and isoformat leaves a zero fraction out.
        now = now.replace(microsecond=max(1, now.microsecond))
        return V1Lease(
            metadata=V1ObjectMeta(
                name=self._settings.name, namespace=self._settings.namespace, resource_version=version
            ),
            spec=V1LeaseSpec(
                holder_identity=holder,
                lease_duration_seconds=max(1, math.ceil(seconds)),
                acquire_time=now,
                renew_time=now,
                lease_transitions=transitions,
            ),
        )


def coordination_api(settings: LeaseSettings) -> tuple[Any, LeaseSettings]:
    """The cluster's API, in a pod or by kubectl's configuration, and the settings with their namespace.

    Raises:
        RunInputError: outside a pod no namespace was given.
        RunnerUnreachableError: there is no cluster to talk to.
    """
    import dataclasses

    import yaml
    from kubernetes import client, config

    try:
        config.load_incluster_config()
    except config.ConfigException:
        try:
            config.load_kube_config()
        except (config.ConfigException, yaml.YAMLError, ValueError, OSError) as error:
            raise RunnerUnreachableError(
                f"the lease needs a Kubernetes cluster, and none is configured: {error}; "
                f'set KUBECONFIG, or name = "" in [lease] to work without'
            ) from error
    namespace = settings.namespace
    if not namespace:
        if not _NAMESPACE_FILE.exists():
            raise RunInputError("[lease] namespace is needed outside a pod")
        namespace = _NAMESPACE_FILE.read_text().strip()
    return client.CoordinationV1Api(), dataclasses.replace(settings, namespace=namespace)
