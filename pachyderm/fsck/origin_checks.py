"""Whether what was copied is what was computed: reuse points at equal bytes, and equal work was done once.

It exists because a wrong copy would be copied on for ever.
"""

from __future__ import annotations

from collections.abc import Iterator

from pachyderm.client.files import content
from pachyderm.errors import RequestError
from pachyderm.fsck.distrusted import distrusted
from pachyderm.fsck.evidence import Evidence, Reading
from pachyderm.fsck.problem import Problem
from pachyderm.output.reuse import LOOK_BACK
from pachyderm.record.stage_record import StageRecord

GONE = "nothing brings it back; what was computed there is recorded here still"


def check_origins(evidence: Evidence, reading: Reading, record: StageRecord) -> Iterator[Problem]:
    """Each carried file is, byte for byte, one that its computing commit recorded."""
    commit = reading.commit
    seen: dict[str, frozenset[str] | None] = {}
    for path, one in record.files.items():
        if one.computed_in == commit.id:
            continue
        if one.computed_in not in seen:
            seen[one.computed_in] = _recorded(evidence, commit.repo, one.computed_in)
            if seen[one.computed_in] is None:
                what = f"{path} and others were computed in {commit.repo}@{one.computed_in}, which is gone"
                yield Problem("ORIGIN_GONE", str(commit), what, GONE)
        recorded = seen[one.computed_in]
        if recorded is not None and one.sha256 not in recorded:
            what = f"it was computed in {commit.repo}@{one.computed_in}, whose record names no such bytes"
            yield distrusted(commit, "ORIGIN_UNTRUE", what, path)
    if record.outcome == "computed" and record.counts.computed != sum(
        one.computed_in == commit.id for one in record.files.values()
    ):
        yield distrusted(commit, "COUNTS", "not as many files were computed in it as its counts say")


def check_reuse(evidence: Evidence, reading: Reading, record: StageRecord) -> Iterator[Problem]:
    """A commit that was copied from another has that one's fingerprint and bytes."""
    commit = reading.commit
    if record.reused_from is None:
        if record.outcome == "reused":
            yield distrusted(commit, "REUSE_UNTRUE", "it says reused, and does not say from which commit")
        return
    name = f"{commit.repo}@{record.reused_from}"
    earlier = evidence.known.get((commit.repo, record.reused_from))
    if earlier is None:
        yield Problem("REUSE_GONE", str(commit), f"it was copied from {name}, which is gone", GONE)
        return
    try:
        before = evidence.reading(earlier)
    except RequestError:
        return
    if before.record is None or before.record.fingerprint != record.fingerprint:
        what = f"it was copied from {name}, which has another fingerprint"
        yield distrusted(commit, "REUSE_UNTRUE", what)
    ours = {path: entry.hash for path, entry in content(reading.files).items()}
    if ours != {path: entry.hash for path, entry in content(before.files).items()}:
        yield distrusted(commit, "REUSE_BYTES", f"it was copied from {name}, and holds other bytes")


def check_once(evidence: Evidence, readings: list[Reading]) -> Iterator[Problem]:
    """Of the good commits with one fingerprint, one was computed; the others were copied."""
    order = {
        (one.repo, one.id): number for found in evidence.commits.values() for number, one in enumerate(found[::-1])
    }
    computed: dict[tuple[str, str], Reading] = {}
    for reading in sorted(readings, key=lambda one: order[one.commit.repo, one.commit.id]):
        record, commit = reading.record, reading.commit
        if record is None or record.outcome != "computed" or record.commit != str(commit):
            continue
        first = computed.setdefault((commit.repo, record.fingerprint), reading)
        if first is reading or order[commit.repo, commit.id] - order[commit.repo, first.commit.id] > LOOK_BACK:
            continue
        same = {p: e.hash for p, e in content(first.files).items()} == {
            p: e.hash for p, e in content(reading.files).items()
        }
        what = f"{first.commit} has this fingerprint and was computed too, with {'equal' if same else 'OTHER'} bytes"
        yield Problem("COMPUTED_TWICE", str(commit), what, "report it: equal fingerprint must mean equal output, once")


def _recorded(evidence: Evidence, repo: str, commit_id: str) -> frozenset[str] | None:
    commit = evidence.known.get((repo, commit_id))
    if commit is None or commit.state != "good":
        return None
    try:
        record = evidence.reading(commit).record
    except RequestError:
        return None
    return frozenset(one.sha256 for one in record.files.values()) if record is not None else frozenset()
