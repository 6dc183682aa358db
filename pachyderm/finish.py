"""Finishes a filled output commit, in one transaction with everything that belongs to it.

It exists because this is the fence: the key that ends the claim is added first, by exactly one caller, so whoever lost
the claim finishes nothing; and a model is finished and promoted together or not at all. pachd edits metadata at once,
also inside a transaction (seen): a crash behind the key leaves the commit open and free to be claimed.
"""

from __future__ import annotations

import logging

import grpc

from pachyderm.claims import FINISHING, Claim, claims_of
from pachyderm.commits import Commit, head, inspect
from pachyderm.connection import Connection
from pachyderm.errors import CommitFailedError, LostClaimError
from pachyderm.promotion import record_promotion
from pachyderm.repos import MODEL
from pachyderm.reuse import FINGERPRINT

logger = logging.getLogger(__name__)


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
    try:
        before = head(client, MODEL) if promote else None
        with client.transaction.transaction() as transaction:
            client.edit_keys(commit.repo, commit.id, add={f"over.{claim.number}": word}, put={FINGERPRINT: fingerprint})
            client.pfs.finish_commit(commit=client.commit(commit.repo, commit.id))
            if before is not None:
                record_promotion(client, transaction.id, commit, before.id, now)
    except grpc.RpcError as error:
        if not _done_by_us(client, commit, claim, word):
            if error.code() is grpc.StatusCode.FAILED_PRECONDITION or "finished" in (error.details() or ""):
                raise LostClaimError(f"the claim {claim.number} on {commit} is over: {error.details()}") from error
            raise
        logger.info("%s was finished although the answer was lost: %s", commit, error.details())
    ended = inspect(client, commit.repo, commit.id, wait=True)
    if ended.error:
        raise CommitFailedError(str(ended), ended.error)


def _done_by_us(client: Connection, commit: Commit, claim: Claim, word: str) -> bool:
    """Whether our transaction was carried out after all, which an unclear answer does not tell."""
    now = inspect(client, commit.repo, commit.id)
    return now.state != "open" and any(
        one.number == claim.number and one.over == word for one in claims_of(now.metadata)
    )
