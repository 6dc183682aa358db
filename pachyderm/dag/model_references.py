"""References to models: `model@master^` is the model that was in use before the present one."""

from __future__ import annotations

import json
import logging
import re
from collections.abc import Iterator

from pachyderm.client.commits import Commit, all_commits, head, inspect
from pachyderm.client.connection import Connection
from pachyderm.client.files import content, files
from pachyderm.dag.promotion import ROLLED_BACK, promotions_of
from pachyderm.dag.references import generations, resolve
from pachyderm.dag.repos import GENERATE_IMAGES, MODEL
from pachyderm.errors import RequestError

logger = logging.getLogger(__name__)

_BEFORE = re.compile(rf"{MODEL.branch}(?P<ancestry>(?:[\^~][0-9]{{0,9}})+)")


def resolve_model(client: Connection, text: str) -> Commit:
    """Find a model.

    Args:
        client: the connection.
        text: as for `pachyderm.dag.references.resolve`, also with ``model@`` before it; ``master^`` is the model that
            was in use before the present one, and not the parent of its commit.

    Raises:
        RequestError: not found, of another repo, or not so many models have been in use.
    """
    repo, at, name = text.partition("@")
    if at and repo != MODEL.repo:
        raise RequestError(
            f"{text} is not a model; name a commit of the repo {MODEL.repo} (`pix2pix models` lists them)"
        )
    reference = name if at else text
    before = _BEFORE.fullmatch(reference)
    if before:
        return used_before(client, generations(before["ancestry"]))
    return resolve(client, MODEL.repo, reference)


def uses(client: Connection) -> list[str]:
    """Return the ids of the models that `model@master` was moved to, oldest first; the last is in use.

    A model that was returned to appears again.
    """
    opened = {commit.id for commit in all_commits(client, GENERATE_IMAGES.repo)}
    moves = [
        (time, commit.id)
        for commit in all_commits(client, MODEL.repo)
        for time, transaction in moves_to(commit)
        if transaction in opened
    ]
    in_use = [commit_id for _, commit_id in sorted(moves)]
    current = head(client, MODEL)
    if in_use[-1:] != [current.id] and content(files(client, current.repo, current.id)):
        in_use.append(current.id)  # moved by hand
    return [commit_id for number, commit_id in enumerate(in_use) if in_use[number - 1 : number] != [commit_id]]


def used_before(client: Connection, steps: int) -> Commit:
    """Return the model that was in use before the present one.

    Args:
        client: the connection.
        steps: 1 for the one before, 2 for the one before that, ...

    Raises:
        RequestError: fewer models have been in use.
    """
    in_use = uses(client)
    if len(in_use) <= steps:
        raise RequestError(
            f"{MODEL}^{steps} not found: {len(in_use) or 'no'} model{'s' * (len(in_use) != 1)} so far in use; `pix2pix"
            " models` lists them"
        )
    return inspect(client, MODEL.repo, in_use[-1 - steps])


def moves_to(commit: Commit) -> Iterator[tuple[float, str]]:
    """Yield time and transaction of each promotion of a model and of each roll-back to it."""
    yield from ((promotion.time, promotion.transaction) for promotion in promotions_of(commit))
    for key, value in commit.metadata.items():
        word, _, transaction = key.partition(".")
        if word == ROLLED_BACK:
            try:
                yield float(json.loads(value)["time"]), transaction
            except (ValueError, TypeError, KeyError, OverflowError, RecursionError):
                logger.warning("%s: ignoring malformed metadata %r=%r", commit, key, value[:200])
