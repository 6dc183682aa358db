"""Checks of copied files: their origin recorded the same bytes, and equal work was done once."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from pachyderm.client.commits import Commit
from pachyderm.errors import RequestError
from pachyderm.fsck.evidence import Evidence, Reading
from pachyderm.fsck.problem import Problem
from pachyderm.fsck.quarantine_findings import quarantine_finding
from pachyderm.output.reuse import LOOK_BACK
from pachyderm.record.fingerprints import PARENT, Fingerprint
from pachyderm.record.stage_record import StageRecord

GONE = "it cannot be restored; this commit's record still states what was computed there"


def check_origins(evidence: Evidence, reading: Reading, record: StageRecord) -> Iterator[Problem]:
    """Check that the record of the commit that computed a carried file contains the same bytes."""
    commit = reading.commit
    recorded: dict[str, frozenset[str] | None] = {}
    for path, file in record.files.items():
        origin = file.computed_in
        if origin == commit.id:
            continue
        if origin not in recorded:
            recorded[origin] = _recorded_sha256(evidence, commit.repo, origin)
            if recorded[origin] is None:
                what = f"{path} and others were computed in {commit.repo}@{origin}, which was dropped"
                yield Problem("ORIGIN_GONE", str(commit), what, GONE)
        known = recorded[origin]
        if known is not None and file.sha256 not in known:
            what = f"it was computed in {commit.repo}@{origin}, whose record has no such bytes"
            yield quarantine_finding(commit, "ORIGIN_UNTRUE", what, path)
    computed = sum(file.computed_in == commit.id for file in record.files.values())
    if record.outcome == "computed" and record.counts.computed != computed:
        what = f"{computed} files were computed in it, and its record counts {record.counts.computed}"
        yield quarantine_finding(commit, "COUNTS", what)


def check_reuse(evidence: Evidence, reading: Reading, record: StageRecord) -> Iterator[Problem]:
    """Check that a reused commit has the fingerprint and the bytes of the one that it was copied from."""
    commit = reading.commit
    if record.reused_from is None:
        if record.outcome == "reused":
            what = "its outcome is reused, and its record does not name the commit that was copied"
            yield quarantine_finding(commit, "REUSE_UNTRUE", what)
        return
    name = f"{commit.repo}@{record.reused_from}"
    source = evidence.known.get((commit.repo, record.reused_from))
    if source is None:
        yield Problem("REUSE_GONE", str(commit), f"it was copied from {name}, which was dropped", GONE)
        return
    try:
        copied = evidence.summary(source)
    except RequestError:
        return
    if copied.fingerprint != record.fingerprint:
        what = f"it was copied from {name}, which has another fingerprint"
        yield quarantine_finding(commit, "REUSE_UNTRUE", what)
    if evidence.summary(commit).content != copied.content:
        yield quarantine_finding(commit, "REUSE_BYTES", f"it was copied from {name}, and holds other bytes")


def check_parent(evidence: Evidence, reading: Reading, record: StageRecord) -> Iterator[Problem]:
    """Check that the fingerprint names the parent's content if the record names a parent."""
    commit = reading.commit
    if record.parent is None:
        return
    if PARENT not in record.parts:
        what = f"it began with {commit.repo}@{record.parent}, which its fingerprint does not name"
        yield quarantine_finding(commit, "PARENT_UNTRUE", what)
    if evidence.known.get((commit.repo, record.parent)) is None:
        what = f"it began with {commit.repo}@{record.parent}, which was dropped; the chain ends there"
        yield Problem("PARENT_GONE", str(commit), what, "it cannot be restored; the record keeps its digest")


@dataclass(frozen=True)
class Computation:
    """A good commit that was computed.

    Attributes:
        commit: the commit.
        recipe: its fingerprint, without what its work began with.
        content: digest of its files.
    """

    commit: Commit
    recipe: str
    content: str


def computation(evidence: Evidence, reading: Reading) -> Computation | None:
    """Return the computation that a commit's record states; None if it states none."""
    record, commit = reading.record, reading.commit
    if record is None or record.outcome != "computed" or record.commit != str(commit):
        return None
    return Computation(commit, Fingerprint(record.parts).recipe, evidence.summary(commit).content)


def check_computed_once(evidence: Evidence, computations: Sequence[Computation]) -> Iterator[Problem]:
    """Check that of the good commits with one fingerprint only one was computed and the others were copied."""
    order = {
        (commit.repo, commit.id): index
        for commits in evidence.commits.values()
        for index, commit in enumerate(reversed(commits))
    }
    computed: dict[tuple[str, str], Computation] = {}
    for made in sorted(computations, key=lambda made: order[made.commit.repo, made.commit.id]):
        commit = made.commit
        first = computed.setdefault((commit.repo, made.recipe), made)
        # Reuse considers the newest LOOK_BACK commits only.
        if first is made or order[commit.repo, commit.id] - order[commit.repo, first.commit.id] > LOOK_BACK:
            continue
        equality = "equal" if first.content == made.content else "DIFFERENT"
        what = f"{first.commit} has this fingerprint and was computed too, with {equality} bytes"
        yield Problem("COMPUTED_TWICE", str(commit), what, "report it: equal fingerprints must mean one computation")


def _recorded_sha256(evidence: Evidence, repo: str, commit_id: str) -> frozenset[str] | None:
    """Return the SHA-256 of every file that a commit computed; None if the commit is not there to be read."""
    commit = evidence.known.get((repo, commit_id))
    if commit is None or commit.state != "good":
        return None
    try:
        return evidence.summary(commit).computed
    except RequestError:
        return None
