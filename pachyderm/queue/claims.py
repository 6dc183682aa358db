"""The claim of a run on an output commit: who works on it, whether that one is alive, who may take over.

It exists because pachd lets any number of writers into an open commit. Metadata keys are the fence: ``add_key``
succeeds for exactly one caller, several of them in one request all or none (seen on pachd; ``edit_key`` is no fence).
"""

from __future__ import annotations

import json
import logging
import re
import threading
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass

import grpc
import msgspec

from pachyderm.client.commits import Commit
from pachyderm.client.connection import Connection
from pachyderm.errors import UnreachableError

logger = logging.getLogger(__name__)

RENEW_EVERY = 30.0
"""Seconds between two signs of life of a claim."""

STALE_AFTER = 300.0
"""Seconds without a sign of life, as the observer saw it, after which a claim may be taken over."""


ENDS_WITHIN = 10.0
"""Seconds within which an attempt that said it finishes the commit has done so, or died."""

FINISHING = "finishing: "
"""How the word of an attempt begins that ends its claim to finish the commit; pachd shows it before the end itself."""

REPORTED = "failed: "
"""Prefix of the end of a claim whose attempt failed by an error of its own; the error follows."""

STOPPED = "interrupted: "
"""Prefix of the end of a claim whose attempt was stopped from outside and gave the claim back itself."""

_LONGEST_END = 500


@dataclass(frozen=True)
class Claim:
    """One attempt's claim on an output commit.

    Attributes:
        number: 1 for the first claim of the commit, then 2, ...
        holder: id of the run.
        attempt: what tells this attempt of the run from any other.
        alive: the last sign of life; only its changes mean anything, for clocks differ.
        over: why the claim ended, or None while it holds.
        done: how much of the work was done at the last sign of life, in the stage's own unit; at least 0.
    """

    number: int
    holder: str
    attempt: str
    alive: str | None
    over: str | None
    done: int = 0

    @property
    def reported(self) -> str:
        """The error that the attempt reported when it failed; empty if it reported none."""
        return self.over.removeprefix(REPORTED) if self.over and self.over.startswith(REPORTED) else ""

    @property
    def stopped(self) -> str:
        """What stopped the attempt, as it reported itself; empty if it reported nothing of that kind."""
        return self.over.removeprefix(STOPPED) if self.over and self.over.startswith(STOPPED) else ""


class _Owner(msgspec.Struct):
    run: str
    attempt: str


_decode_owner = msgspec.json.Decoder(_Owner).decode

_NUMBER = re.compile(r"[0-9]{1,18}")
"""Anybody may write metadata keys: ``str.isdigit`` accepts ``²``, and ``int`` refuses 4,500 digits."""


def claims_of(metadata: Mapping[str, str]) -> tuple[Claim, ...]:
    """Read the claims from a commit's metadata, oldest first."""
    found = []
    for key, value in metadata.items():
        word, _, number = key.partition(".")
        if word == "run" and _NUMBER.fullmatch(number):
            try:
                owner = _decode_owner(value)
            except (msgspec.MsgspecError, UnicodeEncodeError, RecursionError):
                owner = _Owner(value[:_LONGEST_END], "")
            alive, done = metadata.get(f"alive.{number}"), metadata.get(f"done.{number}", "")
            count = int(done) if _NUMBER.fullmatch(done) else 0
            found.append(Claim(int(number), owner.run, owner.attempt, alive, metadata.get(f"over.{number}"), count))
    return tuple(sorted(found, key=lambda claim: claim.number))


def live_claim(metadata: Mapping[str, str]) -> Claim | None:
    """The claim that holds now, or None."""
    claims = claims_of(metadata)
    return claims[-1] if claims and claims[-1].over is None else None


def working(metadata: Mapping[str, str]) -> Claim | None:
    """The claim whose attempt works on the commit, or is just finishing it, or None."""
    claims = claims_of(metadata)
    if claims and (claims[-1].over is None or claims[-1].over.startswith(FINISHING)):
        return claims[-1]
    return None


def predecessor(metadata: Mapping[str, str], run: str, attempt: str) -> Claim | None:
    """The live claim of another attempt of the same run, or None.

    The next attempt takes over at once instead of waiting for `STALE_AFTER`: a Kubeflow task has one live pod at a
    time, so the earlier attempt is dead. Where it is alive after all, e.g. behind a network partition, the fence lets
    only one of them finish. A claim whose attempt is finishing the commit is no predecessor: there is no fence behind
    that point, so it is left `ENDS_WITHIN` to end.

    Args:
        metadata: of the output commit.
        run: id of the run; empty means unknown, and nothing is taken over.
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
        commit: as it was last read; the claim's number follows from its metadata.
        holder: id of the run.
        attempt: what tells this attempt from any other.
        over: with a claim that is alive by its keys: take over from it, giving this reason. One request ends the old
            claim and makes the new one, so a second taker is refused.

    Returns:
        the claim, or None where somebody else was faster.
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
    """End a claim; False where it had ended already."""
    return added(client, commit, {f"over.{number}": why})


def end_of(error: BaseException) -> str:
    """The end of a claim whose attempt raised an error: what the attempt reports about itself.

    A signal, and a Pachyderm that does not answer, are no errors of the work.
    """
    text = f"{type(error).__name__}: {error}" if str(error) else type(error).__name__
    away = isinstance(error, grpc.RpcError) and error.code() is grpc.StatusCode.UNAVAILABLE
    if not isinstance(error, Exception) or away or isinstance(error, UnreachableError):
        return f"{STOPPED}{text}"[:_LONGEST_END]
    return f"{REPORTED}{text}"[:_LONGEST_END]


def added(client: Connection, commit: Commit, keys: dict[str, str]) -> bool:
    """Add metadata keys, all or none; False where one of them is there already."""
    try:
        client.edit_keys(commit.repo, commit.id, add=keys)
    except grpc.RpcError as error:
        if error.code() is grpc.StatusCode.FAILED_PRECONDITION:
            return False
        raise
    return True


class Watch:
    """Sees, by an observer's own clock, whether a claim gives signs of life."""

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        self._clock = clock
        self._seen: dict[tuple[str, str, int], tuple[str | None, float]] = {}

    def stale(self, commit: Commit, claim: Claim) -> bool:
        """Whether nothing was heard of the claim for too long: no sign of life, or no end after it said so."""
        key, now = (commit.repo, commit.id, claim.number), self._clock()
        heard = claim.over or claim.alive
        seen = self._seen.get(key)
        if seen is None or seen[0] != heard:
            self._seen[key] = (heard, now)
            return False
        return now - seen[1] >= (STALE_AFTER if claim.over is None else ENDS_WITHIN)


@contextmanager
def kept_alive(client: Connection, commit: Commit, claim: Claim, done: Callable[[], int] = lambda: 0) -> Iterator[None]:
    """Renew a claim's sign of life from a thread of its own while the block works.

    Args:
        client: the connection; renewing uses another one.
        commit: the claimed commit.
        claim: the claim.
        done: how much of the work is done, at least 0; left with each sign of life.
    """
    stop = threading.Event()

    def renew() -> None:
        second = client.another()
        beat = 0
        try:
            while not stop.wait(RENEW_EVERY):
                beat += 1
                keys = {f"alive.{claim.number}": str(beat), f"done.{claim.number}": str(done())}
                try:
                    second.edit_keys(commit.repo, commit.id, put=keys)
                except grpc.RpcError as error:
                    logger.warning("the claim on %s could not be renewed: %s", commit, error.details())
        finally:
            second.close()

    thread = threading.Thread(target=renew, name=f"alive-{commit.repo}", daemon=True)
    thread.start()
    try:
        yield
    finally:
        stop.set()
        thread.join()
