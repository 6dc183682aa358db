"""Promotes a model and rolls back: moves of the head of `model@master`, each kept as metadata of the model's commit.

It exists so that generation takes a model only after somebody, or the export's policy, said so; going back is one move.
"""

from __future__ import annotations

import json
import logging
from dataclasses import dataclass

from pachyderm.client.commits import Commit, all_commits, head, inspect
from pachyderm.client.connection import Connection
from pachyderm.client.files import content, files
from pachyderm.dag.repos import CANDIDATE, GENERATE_IMAGES, MODEL
from pachyderm.errors import RequestError

logger = logging.getLogger(__name__)

PROMOTED, ROLLED_BACK = "promoted", "rolledback"


@dataclass(frozen=True)
class Move:
    """A move of `model@master`.

    Attributes:
        before: id of the head before.
        after: id of the head after; equal to `before` where nothing was to do.
    """

    before: str
    after: str


@dataclass(frozen=True, order=True)
class Promotion:
    """One promotion, in the order in which they happened.

    Attributes:
        time: seconds since 1970, by the clock of whoever promoted.
        transaction: id of the transaction that moved the head; also the set that it opened.
        commit: id of the model commit.
    """

    time: float
    transaction: str
    commit: str


def record_promotion(client: Connection, transaction: str, commit: Commit, before: str, now: float) -> None:
    """Within a transaction: move `model@master` to a commit and keep that with the commit."""
    value = json.dumps({"time": now, "from": before})
    client.edit_keys(commit.repo, commit.id, add={f"{PROMOTED}.{transaction}": value})
    client.pfs.create_branch(branch=client.branch(MODEL), head=client.commit(commit.repo, commit.id), provenance=[])


def promote(client: Connection, commit_id: str | None, now: float) -> Move:
    """Make a model the one that generates.

    Args:
        client: the connection.
        commit_id: of the repo `model`; None for the candidate's head.
        now: seconds since 1970.

    Raises:
        RequestError: the commit is open, failed or holds no model.
    """
    commit = head(client, CANDIDATE) if commit_id is None else inspect(client, MODEL.repo, commit_id)
    before = head(client, MODEL)
    _check(client, commit)
    if commit.id != before.id:
        with client.transaction.transaction() as transaction:
            record_promotion(client, transaction.id, commit, before.id, now)
    return Move(before.id, commit.id)


def rollback(client: Connection, commit_id: str | None, now: float) -> Move:
    """Go back to a model that was promoted before: to `commit_id`, else one further back at each call.

    Raises:
        RequestError: there is none before, or `commit_id` was never promoted.
    """
    before = head(client, MODEL)
    done = promotions(client)
    if commit_id is None:
        position = _position(before, done)
        earlier = [one for one in done if position is not None and one < position and one.commit != before.id]
        if not earlier:
            raise RequestError(f"no model was promoted before {MODEL} = {before.id}; `pix2pix models` lists them")
        target = earlier[-1]
    else:
        matching = [one for one in done if one.commit == commit_id]
        if not matching:
            raise RequestError(f"{MODEL.repo}@{commit_id} was never promoted; use: pix2pix promote {commit_id}")
        target = matching[-1]
    commit = inspect(client, MODEL.repo, target.commit)
    _check(client, commit)
    if commit.id != before.id:
        with client.transaction.transaction() as transaction:
            value = json.dumps({"time": now, "from": before.id, "to": target.transaction})
            client.edit_keys(commit.repo, commit.id, add={f"{ROLLED_BACK}.{transaction.id}": value})
            client.pfs.create_branch(
                branch=client.branch(MODEL), head=client.commit(commit.repo, commit.id), provenance=[]
            )
    return Move(before.id, commit.id)


def promotions(client: Connection) -> list[Promotion]:
    """Every promotion there was, oldest first.

    Metadata is edited at once and the head moves when the transaction ends, so a key alone proves nothing: a promotion
    that happened opened a commit of `generate_images` under the transaction's id.
    """
    moved = {commit.id for commit in all_commits(client, GENERATE_IMAGES.repo)}
    found = (one for commit in all_commits(client, MODEL.repo) for one in promotions_of(commit))
    return sorted(one for one in found if one.transaction in moved)


def promotions_of(commit: Commit) -> list[Promotion]:
    """The promotions of one model commit, oldest first."""
    found = []
    for key, value in commit.metadata.items():
        word, _, transaction = key.partition(".")
        if word != PROMOTED:
            continue
        try:
            found.append(Promotion(float(json.loads(value)["time"]), transaction, commit.id))
        except (ValueError, TypeError, KeyError, OverflowError, RecursionError):
            logger.warning("%s has a %s that is not ours: %r", commit, key, value)
    return sorted(found)


def _position(commit: Commit, done: list[Promotion]) -> Promotion | None:
    """Which promotion the head stands at: its last one, unless a later roll-back led to an earlier one."""
    at = next((one for one in reversed(done) if one.commit == commit.id), None)
    since = at.time if at else 0.0
    for key, value in commit.metadata.items():
        if key.partition(".")[0] != ROLLED_BACK:
            continue
        try:
            told = json.loads(value)
            time, to = float(told["time"]), told["to"]
        except (ValueError, TypeError, KeyError, OverflowError, RecursionError):
            logger.warning("%s has a %s that is not ours: %r", commit, key, value)
            continue
        if time >= since:
            since = time
            at = next((one for one in done if one.transaction == to), at)
    return at


def _check(client: Connection, commit: Commit) -> None:
    if commit.state != "good":
        ended = f"it {commit.state}: {commit.error}" if commit.error else f"it is {commit.state}"
        raise RequestError(f"{commit} cannot be promoted: {ended}; `pix2pix models` lists those that can")
    if not content(files(client, commit.repo, commit.id)):
        raise RequestError(f"{commit} cannot be promoted: it holds no model; `pix2pix models` lists those that do")
