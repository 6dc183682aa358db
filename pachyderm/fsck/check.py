"""Checks what the design promises across repos, runs and reports, and repairs what can be repaired without loss.

It exists because a record that may be wrong unnoticed is none. It is also the oracle of the tests that kill processes:
they ask it after each restart.
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterator
from dataclasses import dataclass

from pachyderm.client.connection import Connection
from pachyderm.dag.setup import check_set_up
from pachyderm.errors import PachydermError, RequestError
from pachyderm.fsck.claim_checks import Over, check_claims, check_metadata
from pachyderm.fsck.content_checks import check_contents
from pachyderm.fsck.end_checks import check_ends, check_open_inputs, check_recorded
from pachyderm.fsck.evidence import Evidence, Reading
from pachyderm.fsck.head_checks import check_heads, check_model
from pachyderm.fsck.origin_checks import check_once, check_origins, check_reuse
from pachyderm.fsck.problem import Problem
from pachyderm.fsck.record_checks import check_counts, check_fingerprint, check_identity, check_inputs, check_parameters
from pachyderm.record.quarantine import trusted

logger = logging.getLogger(__name__)


@dataclass(frozen=True)
class Repaired:
    """A problem that was repaired, and what was done."""

    problem: Problem
    done: str


@dataclass(frozen=True)
class Findings:
    """What a check found.

    Attributes:
        commits: how many output commits were looked at.
        problems: those that remain.
        repaired: those that are no more.
    """

    commits: int
    problems: tuple[Problem, ...]
    repaired: tuple[Repaired, ...] = ()


def fsck(
    client: Connection,
    *,
    now: float,
    repair: bool = False,
    contents: bool = True,
    over: Over | None = None,
    progress: Callable[[int, int, str], None] | None = None,
) -> Findings:
    """Check everything.

    Args:
        client: the connection.
        now: seconds since 1970.
        repair: whether to carry out the repairs that lose nothing; safe to do twice.
        contents: whether the bytes of each file are read and compared with its SHA-256; equal bytes are read once.
        over: asks the runner how a run ended; without it only the commits' own decisions tell that a run is over.
        progress: called as ``progress(done, total, note)`` after each commit that was read.
    """
    try:
        check_set_up(client)
    except RequestError as error:
        return Findings(0, (Problem("SET_UP", client.project, str(error), "pix2pix setup makes what is missing"),))
    evidence = Evidence(client, contents=contents, now=now, progress=progress)
    found = tuple(dict.fromkeys(_all(evidence, over)))
    if not repair:
        return Findings(len(evidence.outputs), found)
    remaining, repaired = [], []
    for problem in found:
        if problem.mend is None:
            remaining.append(problem)
            continue
        try:
            repaired.append(Repaired(problem, problem.mend(client)))
        except PachydermError as error:
            logger.warning("%s of %s could not be repaired: %s", problem.code, problem.where, error)
            remaining.append(problem)
    return Findings(len(evidence.outputs), tuple(remaining), tuple(repaired))


def _all(evidence: Evidence, over: Over | None) -> Iterator[Problem]:
    yield from check_ends(evidence)
    yield from check_open_inputs(evidence)
    yield from check_claims(evidence, over)
    yield from check_metadata(evidence)
    readings: list[Reading] = []
    # The oldest first: a listing is reckoned from its ancestor's.
    for number, commit in enumerate(reversed(evidence.good), 1):
        if not trusted(commit):
            continue
        troubles = list(check_recorded(evidence, commit))
        yield from troubles
        if not any(one.code == "UNREADABLE" for one in troubles):
            readings.append(evidence.reading(commit))
        evidence.told(number, len(evidence.good), commit.repo)
    for reading in readings:
        yield from _of_one(evidence, reading)
    yield from check_once(evidence, readings)
    yield from check_heads(evidence)
    yield from check_model(evidence)


def _of_one(evidence: Evidence, reading: Reading) -> Iterator[Problem]:
    record = reading.record
    if record is None:
        return
    elsewhere = list(check_identity(reading, record))
    yield from elsewhere
    if elsewhere:
        return  # every other comparison would be with another commit's record
    yield from check_contents(reading, record)
    yield from check_inputs(evidence, reading, record)
    yield from check_fingerprint(reading, record)
    yield from check_counts(evidence, reading, record)
    yield from check_parameters(evidence, reading, record)
    yield from check_origins(evidence, reading, record)
    yield from check_reuse(evidence, reading, record)
