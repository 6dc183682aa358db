"""Finishing of a published output commit: one transaction with everything that belongs to it.

Two invariants meet here. An attempt that lost its claim finishes nothing: the metadata key that ends the claim is the
fence, and exactly one caller can add it. A model is finished and promoted together or not at all: one transaction.

Fence and transaction are two steps because pachd edits metadata at once, even inside a transaction, and keeps the edit
when the transaction is abandoned (seen on pachd 2.12). A crash between the two leaves the commit open, and free to be
claimed again after `ENDS_WITHIN` seconds.
"""

from __future__ import annotations

import logging
from collections.abc import Mapping

import grpc

from pachyderm.client.commits import Commit, head, inspect
from pachyderm.client.connection import Connection, translate
from pachyderm.dag.gate_decision import GATE, GateDecision
from pachyderm.dag.promotion import record_promotion
from pachyderm.dag.repos import MODEL
from pachyderm.errors import CommitFailedError, ConflictError, LostClaimError
from pachyderm.queue.claims import FINISHING, Claim, claims_of

logger = logging.getLogger(__name__)

TRIES = 5
"""How often the transaction is tried while the server aborts it in favour of another one."""


def finish(
    client: Connection,
    commit: Commit,
    claim: Claim,
    identity: Mapping[str, str],
    *,
    gate: GateDecision | None,
    now: float,
) -> Commit:
    """Finish a commit without error and wait until the server has checked it.

    Args:
        client: the connection.
        commit: published, all of its ancestors ended.
        claim: the caller's claim.
        identity: metadata by which later attempts find this commit (`Fingerprint.keys`).
        gate: the decision about a model, stored as metadata; if it is ``promoted``, `model@master` moves to the commit
            in the same transaction. None for anything else.
        now: seconds since 1970.

    Returns:
        the finished commit.

    Raises:
        LostClaimError: the claim had ended; nothing was changed.
        CommitFailedError: the server found the content invalid.
    """
    keys = dict(identity) | ({GATE: gate.to_json()} if gate is not None else {})
    promote = gate is not None and gate.outcome == "promoted"
    _fence(client, commit, claim, keys)
    for tries_left in reversed(range(TRIES)):
        try:
            _transaction(client, commit, promote=promote, now=now)
            break
        except grpc.RpcError as error:
            if inspect(client, commit.repo, commit.id).state != "open":
                logger.info("%s was finished although the response was lost: %s", commit, error.details())
                break
            if not tries_left or not isinstance(translate(error), ConflictError):
                raise
            # Postgres aborts one of two conflicting transactions, and pachd returns that error (seen on pachd 2.12).
            logger.info("finishing %s again: %s", commit, error.details())
    ended = inspect(client, commit.repo, commit.id, wait=True)
    if ended.error:
        raise CommitFailedError(str(ended), ended.error)
    return ended


def _transaction(client: Connection, commit: Commit, *, promote: bool, now: float) -> None:
    before = head(client, MODEL) if promote else None
    with client.transaction.transaction() as transaction:
        client.pfs.finish_commit(commit=client.commit(commit.repo, commit.id))
        if before is not None:
            record_promotion(client, transaction.id, commit, before.id, now)


def _fence(client: Connection, commit: Commit, claim: Claim, keys: dict[str, str]) -> None:
    """End the claim and store metadata; only the caller that succeeds may finish the commit."""
    end = f"{FINISHING}{claim.attempt}"
    try:
        client.edit_keys(commit.repo, commit.id, add={f"over.{claim.number}": end}, put=keys)
    except grpc.RpcError as error:
        latest = inspect(client, commit.repo, commit.id)
        ours = any(entry.number == claim.number and entry.over == end for entry in claims_of(latest.metadata))
        if latest.state == "open" and ours:
            # The request was carried out and its response was lost.
            return
        if error.code() is grpc.StatusCode.FAILED_PRECONDITION or latest.state != "open":
            raise LostClaimError(f"the claim {claim.number} on {commit} has ended: {error.details()}") from error
        raise
