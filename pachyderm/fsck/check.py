"""The check of all repos: runs every check, and carries out the repairs."""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterator
from dataclasses import dataclass

from pachyderm.client.commits import Commit
from pachyderm.client.connection import Connection
from pachyderm.dag.gate_decision import GateDecision
from pachyderm.dag.repos import MODEL
from pachyderm.dag.setup import check_set_up
from pachyderm.errors import PachydermError, RequestError
from pachyderm.fsck.claim_checks import RunEnd, check_claims, check_metadata
from pachyderm.fsck.content_checks import check_contents
from pachyderm.fsck.end_checks import check_ends, check_open_inputs, check_recorded
from pachyderm.fsck.evidence import Evidence, Reading
from pachyderm.fsck.gate_checks import check_gate
from pachyderm.fsck.head_checks import check_heads, check_model
from pachyderm.fsck.origin_checks import (
    Computation,
    check_computed_once,
    check_origins,
    check_parent,
    check_reuse,
    computation,
)
from pachyderm.fsck.problem import Problem
from pachyderm.fsck.record_checks import check_counts, check_fingerprint, check_identity, check_inputs, check_parameters
from pachyderm.record.quarantine import is_quarantined

logger = logging.getLogger(__name__)


@dataclass(frozen=True)
class Repaired:
    """A problem that was repaired, and what was done."""

    problem: Problem
    done: str


@dataclass(frozen=True)
class Findings:
    """The result of a check.

    Attributes:
        commits: number of output commits.
        problems: the problems that remain.
        repaired: the problems that were repaired.
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
    run_end: RunEnd | None = None,
    progress: Callable[[int, int, str], None] | None = None,
) -> Findings:
    """Check all commits, branches and records.

    Args:
        client: the connection.
        now: seconds since 1970.
        repair: whether to carry out the repairs, all of which are lossless and idempotent.
        contents: whether the bytes of each file are read and compared with its SHA-256; equal bytes are read once.
        run_end: returns how a run ended; without it, only decisions on the commits show that a run is over.
        progress: called as ``progress(done, total, note)`` after each commit.
    """
    try:
        check_set_up(client)
    except RequestError as error:
        remedy = "`pix2pix setup` creates what is missing"
        return Findings(0, (Problem("SET_UP", client.project, str(error), remedy),))
    evidence = Evidence(client, contents=contents, now=now, progress=progress)
    problems = tuple(dict.fromkeys(_check_all(evidence, run_end)))
    if not repair:
        return Findings(len(evidence.outputs), problems)
    remaining, repaired = [], []
    for problem in problems:
        if problem.automatic is None:
            remaining.append(problem)
            continue
        try:
            repaired.append(Repaired(problem, problem.automatic(client)))
        except PachydermError as error:
            logger.warning("%s of %s could not be repaired: %s", problem.code, problem.where, error)
            remaining.append(problem)
    return Findings(len(evidence.outputs), tuple(remaining), tuple(repaired))


def _check_all(evidence: Evidence, run_end: RunEnd | None) -> Iterator[Problem]:
    yield from check_ends(evidence)
    yield from check_open_inputs(evidence)
    yield from check_claims(evidence, run_end)
    yield from check_metadata(evidence)
    computations: list[Computation] = []
    models: list[tuple[Commit, GateDecision | None]] = []
    for number, commit in enumerate(evidence.good, 1):
        if is_quarantined(commit):
            continue
        yield from _check_output(evidence, commit, computations, models)
        evidence.report_progress(number, len(evidence.good), commit.repo)
    yield from check_computed_once(evidence, computations)
    yield from check_heads(evidence)
    yield from check_model(evidence)
    yield from check_gate(evidence, models)


def _check_output(
    evidence: Evidence,
    commit: Commit,
    computations: list[Computation],
    models: list[tuple[Commit, GateDecision | None]],
) -> Iterator[Problem]:
    """Check a good output commit, and note what the checks of all commits compare.

    A function of its own, so that nothing refers to what was read of a commit while the next one is read.
    """
    problems = list(check_recorded(evidence, commit))
    yield from problems
    if any(problem.code == "UNREADABLE" for problem in problems):
        return
    reading = evidence.reading(commit)
    yield from _check_commit(evidence, reading)
    if made := computation(evidence, reading):
        computations.append(made)
    if commit.repo == MODEL.repo and reading.record is not None:
        models.append((commit, reading.record.gate))


def _check_commit(evidence: Evidence, reading: Reading) -> Iterator[Problem]:
    record = reading.record
    if record is None:
        return
    mismatches = list(check_identity(reading, record))
    yield from mismatches
    if mismatches:
        return  # the other checks would compare the commit with another commit's record
    yield from check_contents(reading, record)
    yield from check_inputs(evidence, reading, record)
    yield from check_fingerprint(reading, record)
    yield from check_counts(evidence, reading, record)
    yield from check_parameters(evidence, reading, record)
    yield from check_origins(evidence, reading, record)
    yield from check_reuse(evidence, reading, record)
    yield from check_parent(evidence, reading, record)
