"""Promotion and roll-back: moves of the head of `model@master`, each recorded as metadata of the model's commit."""

from __future__ import annotations

import json
import logging
from collections.abc import Mapping
from dataclasses import dataclass

from pachyderm.client.commits import Commit, all_commits, head, inspect
from pachyderm.client.connection import Connection
from pachyderm.client.files import content, files
from pachyderm.dag.gate_decision import GATE, gate_decision_of
from pachyderm.dag.repos import CANDIDATE, GENERATE_IMAGES, MODEL
from pachyderm.dag.verdict import verdict_of
from pachyderm.errors import RequestError

logger = logging.getLogger(__name__)

PROMOTED, ROLLED_BACK = "promoted", "rolledback"


@dataclass(frozen=True)
class Move:
    """A move of `model@master`.

    Attributes:
        before: id of the head before.
        after: id of the head after; equal to `before` if nothing was moved.
    """

    before: str
    after: str


@dataclass(frozen=True, order=True)
class Promotion:
    """One promotion; promotions sort by time.

    Attributes:
        time: seconds since 1970, by the clock of the client that promoted.
        transaction: id of the transaction that moved the head, which is also the id of the commit set that it opened.
        commit: id of the model commit.
    """

    time: float
    transaction: str
    commit: str


@dataclass(frozen=True)
class _RollBack:
    """One roll-back.

    Attributes:
        time: seconds since 1970, by the clock of the client that rolled back.
        source: id of the model commit in use before.
        target: transaction of the promotion that was returned to.
    """

    time: float
    source: str
    target: str


def record_promotion(
    client: Connection,
    transaction: str,
    commit: Commit,
    before: str,
    now: float,
    besides: Mapping[str, str] | None = None,
) -> None:
    """Within a transaction, move `model@master` to a commit and record the promotion in the commit's metadata.

    Args:
        client: the connection.
        transaction: id of the open transaction.
        commit: the model commit.
        before: id of the head before.
        now: seconds since 1970.
        besides: further metadata keys of the commit, added in the same request: all or none.

    Raises:
        grpc.RpcError: FAILED_PRECONDITION if one of the keys exists already.
    """
    value = json.dumps({"time": now, "from": before})
    client.edit_keys(commit.repo, commit.id, add={**(besides or {}), f"{PROMOTED}.{transaction}": value})
    _move_head(client, commit)


def promote(client: Connection, commit_id: str | None, now: float) -> Move:
    """Put a model into use for generation.

    Args:
        client: the connection.
        commit_id: id of a commit of the repo `model`; None for the head of `model@candidate`.
        now: seconds since 1970.

    Raises:
        RequestError: the commit is open, has failed or holds no model, or waits for a verdict or was rejected.
    """
    commit = head(client, CANDIDATE) if commit_id is None else inspect(client, MODEL.repo, commit_id)
    before = head(client, MODEL)
    check_promotable(client, commit)
    _check_reviewed(commit)
    if commit.id != before.id:
        with client.transaction.transaction() as transaction:
            record_promotion(client, transaction.id, commit, before.id, now)
    return Move(before.id, commit.id)


def rollback(client: Connection, commit_id: str | None, now: float) -> Move:
    """Return to an earlier promoted model.

    Args:
        client: the connection.
        commit_id: id of a commit that was promoted once; None goes one promotion further back at each call.
        now: seconds since 1970.

    Raises:
        RequestError: nothing was promoted earlier, or `commit_id` was never promoted.
    """
    before = head(client, MODEL)
    target = _roll_back_target(before, promotions(client), commit_id)
    commit = inspect(client, MODEL.repo, target.commit)
    check_promotable(client, commit)
    if commit.id != before.id:
        with client.transaction.transaction() as transaction:
            value = json.dumps({"time": now, "from": before.id, "to": target.transaction})
            client.edit_keys(commit.repo, commit.id, add={f"{ROLLED_BACK}.{transaction.id}": value})
            _move_head(client, commit)
    return Move(before.id, commit.id)


def promotions(client: Connection) -> list[Promotion]:
    """Return all promotions, oldest first.

    A metadata edit takes effect at once and the head moves when the transaction ends, so a key alone proves nothing. A
    promotion that took effect opened a commit of `generate_images` under the transaction's id.
    """
    opened = {commit.id for commit in all_commits(client, GENERATE_IMAGES.repo)}
    recorded = (promotion for commit in all_commits(client, MODEL.repo) for promotion in promotions_of(commit))
    return sorted(promotion for promotion in recorded if promotion.transaction in opened)


def was_in_use(client: Connection, fingerprint_key: str, fingerprint: str) -> str | None:
    """Return the id of the last promoted model commit with this fingerprint, unless it was rolled back from since.

    Args:
        client: the connection.
        fingerprint_key: name of the metadata key of fingerprints.
        fingerprint: its value.
    """
    commits = {commit.id: commit for commit in all_commits(client, MODEL.repo)}
    equal = [p for p in promotions(client) if commits[p.commit].metadata.get(fingerprint_key) == fingerprint]
    if not equal:
        return None
    left = [roll_back for commit in commits.values() for roll_back in _roll_backs_of(commit)]
    promoted = {promotion.commit for promotion in equal}
    if any(roll_back.source in promoted and roll_back.time >= equal[-1].time for roll_back in left):
        return None
    return equal[-1].commit


def promotions_of(commit: Commit) -> list[Promotion]:
    """Return the promotions recorded in one model commit, oldest first, whether or not they took effect."""
    found = []
    for key, value in commit.metadata.items():
        word, _, transaction = key.partition(".")
        if word != PROMOTED:
            continue
        try:
            found.append(Promotion(float(json.loads(value)["time"]), transaction, commit.id))
        except (ValueError, TypeError, KeyError, OverflowError, RecursionError):
            logger.warning("%s: ignoring malformed metadata %r=%r", commit, key, value[:200])
    return sorted(found)


def _roll_back_target(before: Commit, done: list[Promotion], commit_id: str | None) -> Promotion:
    """Choose the promotion to return to from the head `before`; `done` is oldest first."""
    if commit_id is None:
        current = _current(before, done)
        earlier = [p for p in done if current is not None and p < current and p.commit != before.id]
        if not earlier:
            raise RequestError(f"no model was promoted before {MODEL} = {before.id}; `pix2pix models` lists them")
        return earlier[-1]
    matching = [promotion for promotion in done if promotion.commit == commit_id]
    if not matching:
        raise RequestError(f"{MODEL.repo}@{commit_id} was never promoted; use: pix2pix promote {commit_id}")
    return matching[-1]


def _current(head_commit: Commit, done: list[Promotion]) -> Promotion | None:
    """Return the promotion in effect: the head's last one, unless a later roll-back returned to an earlier one."""
    current = next((promotion for promotion in reversed(done) if promotion.commit == head_commit.id), None)
    since = current.time if current else 0.0
    for roll_back in _roll_backs_of(head_commit):
        if roll_back.time >= since:
            since = roll_back.time
            current = next((promotion for promotion in done if promotion.transaction == roll_back.target), current)
    return current


def _roll_backs_of(commit: Commit) -> list[_RollBack]:
    """Return the roll-backs to a model commit, in the order of its metadata."""
    found = []
    for key, value in commit.metadata.items():
        if key.partition(".")[0] != ROLLED_BACK:
            continue
        try:
            record = json.loads(value)
            found.append(_RollBack(float(record["time"]), str(record["from"]), str(record["to"])))
        except (ValueError, TypeError, KeyError, OverflowError, RecursionError):
            logger.warning("%s: ignoring malformed metadata %r=%r", commit, key, value[:200])
    return found


def _move_head(client: Connection, commit: Commit) -> None:
    """Move `model@master`, which opens the output commits of generation; the branch has no provenance."""
    client.pfs.create_branch(branch=client.branch(MODEL), head=client.commit(commit.repo, commit.id), provenance=[])


def check_promotable(client: Connection, commit: Commit) -> None:
    """Refuse a commit that cannot be a model in use.

    Raises:
        RequestError: the commit is open, has failed or holds no model.
    """
    if commit.state != "good":
        state = f"{commit.state}: {commit.error}" if commit.error else commit.state
        raise RequestError(f"{commit} cannot be promoted: it is {state}; `pix2pix models` lists those that can")
    if not content(files(client, commit.repo, commit.id)):
        raise RequestError(f"{commit} cannot be promoted: it holds no model; `pix2pix models` lists those that do")


def _check_reviewed(commit: Commit) -> None:
    """Refuse a candidate that only an approval may promote."""
    decision, verdict = gate_decision_of(commit), verdict_of(commit)
    if decision is None and GATE in commit.metadata:
        raise RequestError(f"the gate's decision about {commit} cannot be read; use: pix2pix fsck --repair")
    if decision is None or decision.outcome != "waiting" or (verdict is not None and verdict.verdict == "approved"):
        return
    if verdict is not None:
        raise RequestError(
            f"{commit} was {verdict}; make a candidate of the same data again with"
            " pix2pix run training_and_export --commit-set new, and review that"
        )
    raise RequestError(f"{commit} waits for a verdict; use: pix2pix review {commit.id} --approve")
