"""Leases on output commits: claim, heartbeats, takeover, release.

pachd lets any number of writers into an open commit, so the fence is made of metadata keys: ``add_key`` succeeds for
exactly one caller, and several of them in one request all or none (seen on pachd 2.12). ``edit_key`` is not a fence.
"""

from __future__ import annotations

import json
import logging
import re
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass

import grpc
import msgspec

from pachyderm.client.commits import Commit
from pachyderm.client.connection import Connection, translate
from pachyderm.client.rpc import repeating
from pachyderm.errors import ConflictError, UnreachableError

logger = logging.getLogger(__name__)

RENEW_EVERY = 30.0
"""Seconds between two heartbeats of a claim."""

STALE_AFTER = 300.0
"""Seconds without a heartbeat, by the observer's clock, after which a claim may be taken over."""

ENDS_WITHIN = 10.0
"""Seconds that an attempt has to finish the commit once it has announced that, before it counts as dead."""

FINISHING = "finishing: "
"""Prefix of the end of a claim whose attempt is about to finish the commit; visible before the commit has ended."""

REPORTED = "failed: "
"""Prefix of the end of a claim whose attempt failed; its error follows."""

STOPPED = "interrupted: "
"""Prefix of the end of a claim whose attempt was stopped from outside and gave the claim back."""

_LONGEST_END = 500


@dataclass(frozen=True)
class Claim:
    """One attempt's claim on an output commit; fields are named after the metadata keys.

    Attributes:
        number: 1 for the first claim of the commit, then 2, ...
        holder: id of the run.
        attempt: name of the attempt, unique among the attempts of all runs.
        alive: the last heartbeat. Only its changes are meaningful, since the clocks of machines differ.
        over: why the claim ended, or None while it is held.
        done: how much of the work was done at the last heartbeat, in the stage's own unit; at least 0.
        total: how much there is to do in all, likewise; 0 if unknown.
        waits: what the attempt waits for outside Pachyderm; empty for nothing.
        kept: how many datums' results outlast the attempt, if shards work under the claim; else 0.
        fault: the end that the last shard to fail would have given the claim, which the others still need.
    """

    number: int
    holder: str
    attempt: str
    alive: str | None
    over: str | None
    done: int = 0
    total: int = 0
    waits: str = ""
    kept: int = 0
    fault: str = ""

    @property
    def reported(self) -> str:
        """The error that the attempt, or a shard of it, reported when it failed; empty if none did."""
        end = self.over if self.over and self.over.startswith(REPORTED) else self.fault
        return end.removeprefix(REPORTED)

    @property
    def stopped(self) -> str:
        """What stopped the attempt, as it reported; empty if it did not report such an end."""
        return self.over.removeprefix(STOPPED) if self.over and self.over.startswith(STOPPED) else ""


class _Owner(msgspec.Struct):
    run: str
    attempt: str


_decode_owner = msgspec.json.Decoder(_Owner).decode

_NUMBER = re.compile(r"[0-9]{1,18}")
"""Anybody may write metadata keys: ``str.isdigit`` accepts ``²``, and ``int`` refuses 4,500 digits."""


def claims_of(metadata: Mapping[str, str]) -> tuple[Claim, ...]:
    """Read the claims from a commit's metadata, oldest first."""
    found, parts = [], _parts(metadata)
    for key, value in metadata.items():
        word, _, number = key.partition(".")
        if word == "run" and _NUMBER.fullmatch(number):
            try:
                owner = _decode_owner(value)
            except (msgspec.MsgspecError, UnicodeEncodeError, RecursionError):
                owner = _Owner(value[:_LONGEST_END], "")
            alive, over = metadata.get(f"alive.{number}"), metadata.get(f"over.{number}")
            done, total = (_count(metadata.get(f"{word}.{number}", "")) for word in ("done", "total"))
            kept = 0
            if number in parts:
                kept = done + parts[number].kept
                done += parts[number].done
            waits, fault = (metadata.get(f"{word}.{number}", "")[:_LONGEST_END] for word in ("waits", "fault"))
            found.append(Claim(int(number), owner.run, owner.attempt, alive, over, done, total, waits, kept, fault))
    return tuple(sorted(found, key=lambda claim: claim.number))


@dataclass
class _Parts:
    """What the shards under a claim have done, and how much of it belongs to complete shards."""

    done: int = 0
    kept: int = 0


def _parts(metadata: Mapping[str, str]) -> dict[str, _Parts]:
    """Return number of a claim -> what its shards have done."""
    found: dict[str, _Parts] = {}
    for key, value in metadata.items():
        if key.startswith("part."):
            parts = found.setdefault(key.split(".")[1], _Parts())
            done, _, total = value.partition("/")
            parts.done += _count(done)
            parts.kept += _count(done) if done == total else 0
    return found


def _count(text: str) -> int:
    return int(text) if _NUMBER.fullmatch(text) else 0


def live_claim(metadata: Mapping[str, str]) -> Claim | None:
    """Return the claim that is held now, or None."""
    claims = claims_of(metadata)
    return claims[-1] if claims and claims[-1].over is None else None


def working_claim(metadata: Mapping[str, str]) -> Claim | None:
    """Return the claim whose attempt works on the commit or is finishing it, or None."""
    claims = claims_of(metadata)
    if claims and (claims[-1].over is None or claims[-1].over.startswith(FINISHING)):
        return claims[-1]
    return None


def predecessor(metadata: Mapping[str, str], run: str, attempt: str) -> Claim | None:
    """Return the live claim of another attempt of the same run, or None.

    The next attempt takes it over at once instead of waiting for `STALE_AFTER`: a Kubeflow task has one live pod at a
    time, so the earlier attempt is dead. If it is alive after all, for example behind a network partition, the fence
    lets only one of the two finish. A claim whose attempt is finishing the commit is not a predecessor: nothing fences
    what follows, so it is given `ENDS_WITHIN` seconds to end.

    Args:
        metadata: of the output commit.
        run: id of the run; empty if unknown, and nothing is taken over.
        attempt: name of the attempt that asks.
    """
    claim = live_claim(metadata)
    if claim is None or not run or claim.holder != run or claim.attempt == attempt:
        return None
    return claim


def take(client: Connection, commit: Commit, holder: str, attempt: str, over: str | None = None) -> Claim | None:
    """Claim a commit.

    Args:
        client: the connection.
        commit: as it was last inspected; the claim's number follows from its metadata.
        holder: id of the run.
        attempt: name of the attempt, unique among the attempts of all runs.
        over: the reason for taking over a claim that is still held. One request ends the old claim and makes the new
            one, so a second taker is refused.

    Returns:
        the claim, or None if another attempt was faster.
    """
    claims = claims_of(commit.metadata)
    number = claims[-1].number + 1 if claims else 1
    keys = {f"run.{number}": json.dumps({"run": holder, "attempt": attempt})}
    if claims and claims[-1].over is None:
        if over is None:
            return None
        keys = {f"over.{claims[-1].number}": over, **keys}
    if not added(client, commit, keys):
        return None
    return Claim(number, holder, attempt, None, None)


def give_back(client: Connection, commit: Commit, number: int, why: str) -> bool:
    """End a claim; return False if it had already ended."""
    return added(client, commit, {f"over.{number}": why})


def end_of(error: BaseException) -> str:
    """Return the end of a claim whose attempt raised an error, as the attempt reports it.

    Signals, an unreachable Pachyderm and conflicts in its database count as interruptions, not as failures of the work.
    """
    text = f"{type(error).__name__}: {error}" if str(error) else type(error).__name__
    cause = translate(error) if isinstance(error, grpc.RpcError) else error
    if not isinstance(error, Exception) or isinstance(cause, UnreachableError | ConflictError):
        return f"{STOPPED}{text}"[:_LONGEST_END]
    return f"{REPORTED}{text}"[:_LONGEST_END]


def added(client: Connection, commit: Commit, keys: dict[str, str]) -> bool:
    """Add metadata keys, all or none; return False if one of them already exists."""
    try:
        client.edit_keys(commit.repo, commit.id, add=keys)
    except grpc.RpcError as error:
        if error.code() is grpc.StatusCode.FAILED_PRECONDITION:
            return False
        raise
    return True


class HeartbeatMonitor:
    """Detects stale claims by the observer's own clock.

    Args:
        clock: returns seconds since any fixed moment.
    """

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        self._clock = clock
        self._seen: dict[tuple[str, str, int], tuple[str | None, float]] = {}

    def stale(self, commit: Commit, claim: Claim) -> bool:
        """Whether a claim has been silent for too long: no heartbeat, or no end after it announced one."""
        key, now = (commit.repo, commit.id, claim.number), self._clock()
        latest = claim.over or claim.alive
        seen = self._seen.get(key)
        if seen is None or seen[0] != latest:
            self._seen[key] = (latest, now)
            return False
        return now - seen[1] >= (STALE_AFTER if claim.over is None else ENDS_WITHIN)


def fault_key(claim: int) -> str:
    """Return the metadata key of `Claim.fault`."""
    return f"fault.{claim}"


def progress_keys(claim: int, done: int, total: int, shard: int | None = None) -> dict[str, str]:
    """Return the metadata keys of a claim's progress, or of that of one shard under it.

    Args:
        claim: number of the claim.
        done: how much is done.
        total: how much there is in all; 0 if unknown. A shard has kept its results once both are equal.
        shard: number of the shard; None for the attempt itself.
    """
    if shard is not None:
        return {f"part.{claim}.{shard}": f"{done}/{total}"}
    return {f"done.{claim}": str(done), **({f"total.{claim}": str(total)} if total else {})}


@contextmanager
def heartbeats(
    client: Connection,
    commit: Commit,
    claim: Claim,
    progress: Callable[[], tuple[int, int]] = lambda: (0, 0),
    shard: int | None = None,
    waits: Callable[[], str] = str,
) -> Iterator[None]:
    """Send heartbeats of a claim from a separate thread while the block works.

    Args:
        client: the connection; the thread uses another one.
        commit: the claimed commit.
        claim: the claim.
        progress: returns how much of the work is done, at least 0, and how much there is in all, 0 if unknown; stored
            with each heartbeat.
        shard: number of the shard that works under the claim; None for the attempt itself. A shard's progress adds to
            that of the others.
        waits: returns what the work waits for outside Pachyderm, empty for nothing; stored likewise.
    """
    beat, waited = 0, ""

    def renew(second: Connection) -> None:
        nonlocal beat, waited
        beat += 1
        keys = {f"alive.{claim.number}": str(beat), **progress_keys(claim.number, *progress(), shard)}
        text = waits()
        if text or waited:
            keys[f"waits.{claim.number}"] = waited = text
        try:
            second.edit_keys(commit.repo, commit.id, put=keys)
        except grpc.RpcError as error:
            logger.warning("the claim on %s could not be renewed: %s", commit, error.details())

    with repeating(client, RENEW_EVERY, renew, f"heartbeat-{commit.repo}"):
        yield
