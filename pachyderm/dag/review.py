"""Review of a candidate that waits for a verdict: an approval promotes it, a rejection leaves the model in use alone.

The verdict and the promotion are one transaction, but pachd keeps a metadata edit of a transaction that is abandoned
(seen on pachd 2.12). A process that dies between the two leaves an approval without its promotion, which `complete`
makes up for. The reverse cannot happen: the head moves only when the transaction ends.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence

import grpc

from pachyderm.client.commits import Commit, all_commits, head, inspect
from pachyderm.client.connection import Connection
from pachyderm.client.files import content, files
from pachyderm.dag.gate_decision import GateDecision, gate_decision_of
from pachyderm.dag.promotion import Move, check_promotable, promotions, promotions_of, record_promotion
from pachyderm.dag.repos import MODEL
from pachyderm.dag.verdict import VERDICT, Verdict, check_words, verdict_of
from pachyderm.errors import RequestError


def newest_waiting(client: Connection) -> Commit | None:
    """Return the candidate that waits for a verdict, or None; a newer candidate supersedes older ones."""
    models = list(all_commits(client, MODEL.repo))
    return next((commit for commit in models if waits(commit, models)), None)


def waits(commit: Commit, models: Iterable[Commit]) -> bool:
    """Whether a candidate waits for a verdict: the gate requires one, none was given, and no newer one supersedes it.

    Args:
        commit: a commit of the repo `model`.
        models: all commits of the repo, newest first.
    """
    decision = gate_decision_of(commit)
    if commit.state != "good" or decision is None or decision.outcome != "waiting" or VERDICT in commit.metadata:
        return False
    return superseded_by(commit, models) is None


def superseded_by(commit: Commit, models: Iterable[Commit]) -> Commit | None:
    """Return the newest candidate that supersedes a waiting one: waiting or promoted as well, and newer.

    Args:
        commit: a candidate that the gate left waiting.
        models: all commits of the repo `model`, newest first.
    """
    for newer in models:
        if newer.id == commit.id:
            return None
        decision = gate_decision_of(newer)
        if newer.state == "good" and decision is not None and decision.outcome != "held back":
            return newer
    return None


def standing(commit: Commit, in_use: str, models: Sequence[Commit]) -> str:
    """Describe in a word or two what became of a model.

    Args:
        commit: a good commit of the repo `model` that holds a model.
        in_use: id of the head of `model@master`.
        models: all commits of the repo, newest first.

    Returns:
        ``in use``, ``promoted`` (it was in use), the verdict about it, or ``held back``, ``waiting`` or ``superseded``;
        empty for a model that no gate judged.
    """
    if commit.id == in_use:
        return "in use"
    if promotions_of(commit):
        return "promoted"
    decision, verdict = gate_decision_of(commit), verdict_of(commit)
    if verdict is not None:
        return verdict.verdict
    if decision is not None and decision.outcome == "waiting":
        return "superseded" if superseded_by(commit, models) else "waiting"
    return decision.outcome if decision is not None else ""


def decided(commit: Commit) -> str:
    """Return what was decided about a model's promotion and why: the verdict, else the gate's decision, else empty."""
    return str(verdict_of(commit) or gate_decision_of(commit) or "")


def approve(client: Connection, commit_id: str, by: str, reason: str, now: float) -> tuple[Verdict, Move]:
    """Approve a waiting candidate, and promote it in the same transaction.

    Args:
        client: the connection.
        commit_id: id of a commit of the repo `model`.
        by: who decides.
        reason: why; may be empty.
        now: seconds since 1970.

    Raises:
        RequestError: the candidate does not wait for a verdict, or somebody else was faster.
    """
    commit, decision, before = _reviewable(client, commit_id, by, reason)
    verdict = Verdict("approved", by, reason, now, commit.id, _in_use(client, before), decision.shown)
    try:
        with client.transaction.transaction() as transaction:
            record_promotion(client, transaction.id, commit, before.id, now, {VERDICT: verdict.to_json()})
    except grpc.RpcError as error:
        _raise_if_faster(client, commit, error)
        raise
    return verdict, Move(before.id, commit.id)


def reject(client: Connection, commit_id: str, by: str, reason: str, now: float) -> Verdict:
    """Reject a waiting candidate; arguments and errors as for `approve`, and the reason may not be empty."""
    if not reason.strip():
        raise RequestError("a rejection needs a reason; give one: -m WHY")
    commit, decision, before = _reviewable(client, commit_id, by, reason)
    verdict = Verdict("rejected", by, reason, now, commit.id, _in_use(client, before), decision.shown)
    try:
        client.edit_keys(commit.repo, commit.id, add={VERDICT: verdict.to_json()})
    except grpc.RpcError as error:
        _raise_if_faster(client, commit, error)
        raise
    return verdict


def complete(client: Connection, commit: Commit, now: float) -> Move | None:
    """Promote an approved candidate whose approval was interrupted; return None if nothing is to be done."""
    before = head(client, MODEL)
    if not is_interrupted(commit, before, {promotion.commit for promotion in promotions(client)}):
        return None
    check_promotable(client, commit)
    with client.transaction.transaction() as transaction:
        record_promotion(client, transaction.id, commit, before.id, now)
    return Move(before.id, commit.id)


def is_interrupted(commit: Commit, in_use: Commit, promoted: Iterable[str]) -> bool:
    """Whether a candidate was approved, never promoted, and may be: the model in use is still that of the approval.

    Args:
        commit: a commit of the repo `model`.
        in_use: the head of `model@master`.
        promoted: ids of the commits that were promoted.
    """
    verdict = verdict_of(commit)
    if verdict is None or verdict.verdict != "approved" or commit.id in promoted:
        return False
    # An empty first head counts as no model in use.
    return verdict.in_use == in_use.id or (verdict.in_use is None and not in_use.provenance)


def _reviewable(client: Connection, commit_id: str, by: str, reason: str) -> tuple[Commit, GateDecision, Commit]:
    """Return a candidate that waits for a verdict, the gate's decision about it, and the model in use.

    Raises:
        RequestError: it does not wait, or the name or the reason cannot be kept.
    """
    check_words(by, reason)
    commit, before = inspect(client, MODEL.repo, commit_id), head(client, MODEL)
    check_promotable(client, commit)
    _refuse_second(commit)
    if commit.id == before.id:
        raise RequestError(f"{commit} is in use, so there is nothing to decide; pix2pix rollback goes back")
    decision = gate_decision_of(commit)
    if decision is None or decision.outcome != "waiting":
        outcome = f"was {decision}" if decision else "was not judged"
        raise RequestError(f"{commit} does not wait for a verdict: it {outcome}; pix2pix promote puts it into use")
    newer = superseded_by(commit, all_commits(client, MODEL.repo))
    if newer is not None:
        raise RequestError(f"{commit} was superseded by the newer candidate {newer}; use: pix2pix review {newer.id}")
    return commit, decision, before


def _refuse_second(commit: Commit) -> None:
    if VERDICT in commit.metadata:
        verdict = verdict_of(commit)
        what = f"it was {verdict}" if verdict else "it cannot be read; `pix2pix fsck` reports what to do"
        raise RequestError(f"{commit} has its verdict, and a candidate gets one: {what}")


def _raise_if_faster(client: Connection, commit: Commit, error: grpc.RpcError) -> None:
    """Raise a `RequestError` if another verdict was given meanwhile."""
    if error.code() is grpc.StatusCode.FAILED_PRECONDITION:
        _refuse_second(inspect(client, commit.repo, commit.id))


def _in_use(client: Connection, commit: Commit) -> str | None:
    """Return the id of the model in use; None if the head holds no model."""
    return commit.id if content(files(client, commit.repo, commit.id)) else None
