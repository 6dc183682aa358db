"""Finishes a filled output commit, in one transaction with everything that belongs to it.

It exists because two things must hold at once. Nobody finishes who lost the claim: the key that ends the claim is the
fence, added first, by exactly one caller. And a model is finished and promoted together or not at all: one transaction.
They are two steps because pachd edits metadata at once, also inside a transaction, and keeps it when that is abandoned
(seen); a crash between them leaves the commit open, and free to be claimed a few seconds later.
"""

from __future__ import annotations

import logging

import grpc

from pachyderm.client.commits import Commit, head, inspect
from pachyderm.client.connection import Connection
from pachyderm.dag.promotion import record_promotion
from pachyderm.dag.repos import MODEL
from pachyderm.errors import CommitFailedError, LostClaimError
from pachyderm.queue.claims import FINISHING, Claim, claims_of
from pachyderm.record.fingerprints import FINGERPRINT

logger = logging.getLogger(__name__)

TRIES = 5
"""How often the transaction is tried where the server gives it up for another one."""


def finish(client: Connection, commit: Commit, claim: Claim, fingerprint: str, *, promote: bool, now: float) -> None:
    """Finish a commit without error and wait until the server has checked it.

    Args:
        client: the connection.
        commit: published, and all its ancestors ended.
        claim: ours.
        fingerprint: kept as metadata, so that a later commit finds this one.
        promote: whether `model@master` moves to it in the same transaction.
        now: seconds since 1970.

    Raises:
        LostClaimError: the claim had ended; nothing was done.
        CommitFailedError: the server found the content invalid.
    """
    word = f"{FINISHING}{claim.attempt}"
    _fence(client, commit, claim, word, fingerprint)
    for left in reversed(range(TRIES)):
        try:
            before = head(client, MODEL) if promote else None
            with client.transaction.transaction() as transaction:
                client.pfs.finish_commit(commit=client.commit(commit.repo, commit.id))
                if before is not None:
                    record_promotion(client, transaction.id, commit, before.id, now)
            break
        except grpc.RpcError as error:
            if inspect(client, commit.repo, commit.id).state != "open":
                logger.info("%s was finished although the answer was lost: %s", commit, error.details())
                break
            if not left or "aborted" not in (error.details() or ""):
                raise
            # Postgres gave the transaction up for another one; pachd passes that on (seen).
            logger.info("finishing %s again: %s", commit, error.details())
    ended = inspect(client, commit.repo, commit.id, wait=True)
    if ended.error:
        raise CommitFailedError(str(ended), ended.error)


def _fence(client: Connection, commit: Commit, claim: Claim, word: str, fingerprint: str) -> None:
    """End our claim; only who did that may finish the commit."""
    try:
        client.edit_keys(commit.repo, commit.id, add={f"over.{claim.number}": word}, put={FINGERPRINT: fingerprint})
    except grpc.RpcError as error:
        now = inspect(client, commit.repo, commit.id)
        ours = any(one.number == claim.number and one.over == word for one in claims_of(now.metadata))
        if now.state == "open" and ours:
            return
        if error.code() is grpc.StatusCode.FAILED_PRECONDITION or now.state != "open":
            raise LostClaimError(f"the claim {claim.number} on {commit} is over: {error.details()}") from error
        raise
