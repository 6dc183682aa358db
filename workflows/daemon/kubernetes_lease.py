"""Leader election by a Kubernetes Lease (`coordination.k8s.io/v1`).

Kubeflow's API is not a lock: two concurrent creates start two workflows. Rules and fields follow client-go's leader
election: a lease is taken if it has not changed for its duration by the observer's own clock, every write carries the
resource version that was read, and a leader that could not renew in time stops acting before another may begin.
"""

from __future__ import annotations

import logging
import math
import threading
from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Annotated, Any

from msgspec import Meta

logger = logging.getLogger(__name__)

RELEASED_WITHIN = 1.5
"""Seconds that the release of a lease may take; if it fails, the lease expires by itself."""


@dataclass(frozen=True)
class LeaseSettings:
    """The Kubernetes Lease that keeps one trigger acting, used with the Kubeflow runner.

    Attributes:
        name: name of the Lease; empty: no lease.
        namespace: namespace of the Lease; empty: the pod's own.
        seconds: duration after which a lead that was not renewed may be taken.
        renew_within: seconds within which it must be renewed, or the trigger stops acting; less than `seconds`.
        retry: seconds between two attempts.
    """

    name: str = "pix2pix-trigger"
    namespace: str = ""
    seconds: Annotated[float, Meta(ge=1)] = 15.0
    renew_within: Annotated[float, Meta(ge=0.5)] = 10.0
    retry: Annotated[float, Meta(ge=0.1)] = 2.0


@dataclass(frozen=True)
class _Record:
    """The lease as last read.

    Attributes:
        version: resource version.
        holder: identity of the leader; empty if nobody leads.
        seconds: duration of the lease.
        transitions: number of changes of leader.
        acquired: start of the present leadership; None if nobody ever led.
        since: time at which this version was first seen, by our steady clock.
    """

    version: str
    holder: str
    seconds: float
    transitions: int
    acquired: datetime | None
    since: float


class KubernetesLease:
    """Leadership by a Lease; see `Leadership`. `step` takes or renews it; `begin` does so from a thread.

    `resign` may be called from any thread, even while a `step` hangs in a request.

    Args:
        api: a `kubernetes.client.CoordinationV1Api`.
        settings: name, namespace and times.
        identity: unique among triggers.
        steady: seconds from an arbitrary start.
        wall: seconds since 1970; written for people, never compared.
    """

    def __init__(
        self,
        api: Any,
        settings: LeaseSettings,
        identity: str,
        steady: Callable[[], float],
        wall: Callable[[], float],
    ) -> None:
        self._api = api
        self._settings = settings
        self._identity = identity
        self._steady = steady
        self._wall = wall
        self._seen: _Record | None = None
        self._renewed: float | None = None
        self._led = steady()
        self._stop = threading.Event()
        self._stepping = threading.Lock()
        self._resigning = threading.Lock()
        self._resigned = False

    def is_leader(self) -> bool:
        """See `Leadership.is_leader`; by our own clock, so a paused process knows that it lost the lead."""
        renewed = self._renewed
        return (
            renewed is not None and not self._stop.is_set() and self._steady() - renewed < self._settings.renew_within
        )

    def holder(self) -> str:
        """See `Leadership.holder`."""
        return self._seen.holder if self._seen is not None else ""

    def leaderless_for(self) -> float:
        """See `Leadership.leaderless_for`."""
        return self._steady() - self._led

    def begin(self) -> None:
        """See `Leadership.begin`; tries at once, and then every `retry` seconds from a thread."""
        self.step()
        threading.Thread(target=self._keep, name="lease", daemon=True).start()

    def resign(self) -> None:
        """See `Leadership.resign`. Renewal stops at once; the release takes at most `RELEASED_WITHIN` seconds."""
        self._stop.set()
        # A second caller waits for the release: the process may end when this returns.
        with self._resigning:
            if self._resigned:
                return
            self._resigned = True
            try:
                released = self._released()
            except Exception as error:  # noqa: BLE001 - whatever the error, the lease expires
                logger.warning(
                    "the lease %s was not released: %s; it expires %g s after its last renewal",
                    self._settings.name,
                    _short(error),
                    self._settings.seconds,
                )
                return
            if released:
                logger.info("%s released the lease %s", self._identity, self._settings.name)

    def release(self) -> None:
        """See `Leadership.release`."""
        self.resign()

    def _released(self) -> bool:
        """Release the lease and return True; return False if it is not ours.

        A write in progress is waited for, but not for long: if it lands later it changes the version, so the release
        is refused and the lease read again.
        """
        from kubernetes.client.exceptions import ApiException

        deadline = self._steady() + RELEASED_WITHIN
        if self._stepping.acquire(timeout=RELEASED_WITHIN / 2):
            self._stepping.release()
        while True:
            try:
                seen = self._observed(self._read(self._left(deadline)))
                if seen.holder != self._identity:
                    return False
                self._put(self._body(seen.version, "", 1, seen.transitions, None), self._left(deadline))
            except ApiException as error:
                if error.status == 404:
                    return False
                if error.status != 409:
                    raise
            else:
                return True

    def _left(self, deadline: float) -> float:
        left = deadline - self._steady()
        if left <= 0:
            raise TimeoutError(f"not released within {RELEASED_WITHIN:g} s")
        return left

    def step(self) -> bool:
        """Take or renew the lead once; return False if another has it or the API does not answer."""
        with self._stepping:
            return not self._stop.is_set() and self._step()

    def _step(self) -> bool:
        # Taken before the request: the server counts from a later moment, so we never assume the lead for too long.
        now = self._steady()
        try:
            if self._try():
                if self._renewed is None or now - self._renewed >= self._settings.renew_within:
                    logger.info("%s is the leader", self._identity)
                self._renewed = now
                return True
        except Exception as error:  # noqa: BLE001 - whatever the error, an unrenewed lead expires
            logger.warning("the lease %s cannot be renewed: %s", self._settings.name, _short(error))
            return False
        self._renewed = None
        return False

    def _keep(self) -> None:
        while not self._stop.wait(self._settings.retry):
            self.step()

    def _try(self) -> bool:
        from kubernetes.client.exceptions import ApiException

        try:
            lease = self._read(self._settings.retry * 2)
        except ApiException as error:
            if error.status != 404:
                raise
            return not self._stop.is_set() and self._accepted(self._create)
        self._seen = seen = self._observed(lease)
        expired = not seen.holder or self._steady() - seen.since >= seen.seconds
        if not expired:
            self._led = self._steady()
        # A step whose read hung while the lease was released must not take it again.
        if self._stop.is_set() or (seen.holder != self._identity and not expired):
            return False
        return self._accepted(lambda: self._take_or_renew(seen))

    def _read(self, timeout: float) -> Any:
        # The kubernetes client silently ignores a time limit given as a single float.
        return self._api.read_namespaced_lease(
            self._settings.name, self._settings.namespace, _request_timeout=(timeout, timeout)
        )

    def _put(self, body: Any, timeout: float) -> Any:
        return self._api.replace_namespaced_lease(
            self._settings.name, self._settings.namespace, body, _request_timeout=(timeout, timeout)
        )

    def _create(self) -> Any:
        body, timeout = self._body(None, self._identity, self._settings.seconds, 0, None), self._settings.retry * 2
        return self._api.create_namespaced_lease(self._settings.namespace, body, _request_timeout=(timeout, timeout))

    def _take_or_renew(self, seen: _Record) -> Any:
        renews = seen.holder == self._identity
        transitions, acquired = (seen.transitions, seen.acquired) if renews else (seen.transitions + 1, None)
        body = self._body(seen.version, self._identity, self._settings.seconds, transitions, acquired)
        return self._put(body, self._settings.retry * 2)

    def _accepted(self, write: Callable[[], Any]) -> bool:
        from kubernetes.client.exceptions import ApiException

        try:
            self._seen = self._observed(write())
            self._led = self._steady()
        except ApiException as error:
            if error.status != 409:
                raise
            # Another trigger wrote first; the next step reads its record.
            return False
        return True

    def _observed(self, lease: Any) -> _Record:
        version = lease.metadata.resource_version
        before = self._seen
        if before is not None and before.version == version:
            return before
        spec = lease.spec  # None if an administrator created an empty Lease for a Role that names it
        return _Record(
            version=version,
            holder=(spec and spec.holder_identity) or "",
            seconds=float((spec and spec.lease_duration_seconds) or self._settings.seconds),
            transitions=(spec and spec.lease_transitions) or 0,
            acquired=spec and spec.acquire_time,
            since=self._steady(),
        )

    def _body(
        self, version: str | None, holder: str, seconds: float, transitions: int, acquired: datetime | None
    ) -> Any:
        """Return a Lease renewed now, and acquired now if `acquired` is None."""
        from kubernetes.client import V1Lease, V1LeaseSpec, V1ObjectMeta

        now = datetime.fromtimestamp(self._wall(), UTC)
        return V1Lease(
            metadata=V1ObjectMeta(
                name=self._settings.name, namespace=self._settings.namespace, resource_version=version
            ),
            spec=V1LeaseSpec(
                holder_identity=holder,
                lease_duration_seconds=max(1, math.ceil(seconds)),
                acquire_time=_micro_time(now if acquired is None else acquired),
                renew_time=_micro_time(now),
                lease_transitions=transitions,
            ),
        )


def _micro_time(moment: datetime) -> datetime:
    """Avoid a zero fraction: the API requires all six digits of a MicroTime, and `isoformat` omits them."""
    return moment.replace(microsecond=max(1, moment.microsecond))


def _short(error: Exception) -> str:
    return " ".join(str(error).split())[:300]
