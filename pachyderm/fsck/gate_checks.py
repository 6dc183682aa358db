"""Checks of the gate's decisions and the verdicts about model commits."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from pachyderm.client.commits import Commit
from pachyderm.client.connection import Connection
from pachyderm.dag.gate_decision import GATE, GateDecision, gate_decision_of
from pachyderm.dag.repos import MODEL
from pachyderm.dag.review import complete, is_interrupted
from pachyderm.dag.verdict import VERDICT, verdict_of
from pachyderm.fsck.claim_checks import delete_key
from pachyderm.fsck.evidence import Evidence
from pachyderm.fsck.head_checks import effective_promotions
from pachyderm.fsck.problem import Problem, Repair


def check_gate(evidence: Evidence, models: Sequence[tuple[Commit, GateDecision | None]]) -> Iterator[Problem]:
    """Check that metadata and record agree on each decision, and that only an approval promoted what waited for one.

    Args:
        evidence: what is examined.
        models: the good commits of models that have a record, and its decision.
    """
    promoted = {promotion.commit for promotion in effective_promotions(evidence)}
    for commit, recorded in models:
        yield from _check_decision(commit, recorded, promoted)
        yield from _check_verdict(evidence, commit, promoted)


def _check_decision(commit: Commit, recorded: GateDecision | None, promoted: set[str]) -> Iterator[Problem]:
    if recorded is None:
        return
    if gate_decision_of(commit) != recorded:
        what = f"its metadata {GATE} is not the decision of its record, {recorded.outcome}"
        repair = f"sets the metadata key {GATE} to the record's"
        yield Problem("GATE_METADATA", str(commit), what, repair, _set_decision(commit, recorded))
    verdict = verdict_of(commit)
    approved = verdict is not None and verdict.verdict == "approved"
    if recorded.outcome == "waiting" and commit.id in promoted and not approved:
        what = "it was promoted although it waited for a verdict and was not approved: another program promoted it"
        yield Problem("PROMOTED_UNAPPROVED", str(commit), what, "`pix2pix rollback` returns to the model before it")


def _check_verdict(evidence: Evidence, commit: Commit, promoted: set[str]) -> Iterator[Problem]:
    verdict = verdict_of(commit)
    if VERDICT in commit.metadata and (verdict is None or verdict.candidate != commit.id):
        what = f"its metadata {VERDICT} is not a verdict about it: {commit.metadata[VERDICT][:80]!r}"
        yield Problem("VERDICT_UNREADABLE", str(commit), what, delete_key(commit, VERDICT))
    elif verdict is not None and is_interrupted(commit, evidence.heads[MODEL], promoted):
        what = f"it was {verdict}; the process ended before the promotion"
        yield Problem("VERDICT_INCOMPLETE", str(commit), what, "promotes it", _complete(commit, evidence.now))


def _set_decision(commit: Commit, recorded: GateDecision) -> Repair:
    def repair(client: Connection) -> str:
        client.edit_keys(commit.repo, commit.id, put={GATE: recorded.to_json()})
        return f"the metadata of {commit} has the decision of its record"

    return repair


def _complete(commit: Commit, now: float) -> Repair:
    def repair(client: Connection) -> str:
        moved = complete(client, commit, now)
        return f"{MODEL} is {moved.after}, was {moved.before}" if moved else f"{MODEL} had moved already"

    return repair
