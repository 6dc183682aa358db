"""A person's verdict about a candidate that waits for one; a commit gets exactly one."""

from __future__ import annotations

import json
import logging
from dataclasses import dataclass
from typing import Annotated, Literal

import msgspec

from pachyderm.client.commits import Commit
from pachyderm.dag.gate_decision import ModelId
from pachyderm.errors import RequestError

logger = logging.getLogger(__name__)

VERDICT = "verdict"
"""Metadata key of a model commit that holds the verdict. It is only ever added, which one caller can do."""

LONGEST_NAME, LONGEST_REASON = 100, 2000
"""Characters of a name and of a reason at most."""

_JOINERS = dict.fromkeys(map(ord, "\u200c\u200d"))
"""Invisible characters that words of several scripts, and emoji, are written with."""


@dataclass(frozen=True)
class Verdict:
    """A verdict.

    Attributes:
        verdict: ``approved``, which promotes the candidate, or ``rejected``.
        by: who decided.
        reason: why; may be empty for an approval.
        time: seconds since 1970.
        candidate: id of the model commit that was reviewed.
        in_use: id of the model commit in use at that time; None if none was.
        pictures: paths of the pairs whose pictures the report showed.
    """

    verdict: Literal["approved", "rejected"]
    by: str
    reason: str
    time: Annotated[float, msgspec.Meta(ge=0, le=253402300799.0)]
    candidate: ModelId
    in_use: ModelId | None
    pictures: tuple[str, ...] = ()

    def __str__(self) -> str:
        return f"{self.verdict} by {self.by}" + (f": {self.reason}" if self.reason else "")

    def to_json(self) -> str:
        """Return the value of the metadata key."""
        return json.dumps(vars(self))


_decode = msgspec.json.Decoder(Verdict).decode


def verdict_of(commit: Commit) -> Verdict | None:
    """Return the verdict about a model commit; None if there is none, or none that can be read."""
    value = commit.metadata.get(VERDICT)
    if value is None:
        return None
    try:
        return _decode(value)
    except (msgspec.MsgspecError, UnicodeEncodeError, RecursionError):
        logger.warning("%s: ignoring malformed metadata %s=%r", commit, VERDICT, value[:200])
        return None


def check_words(by: str, reason: str) -> None:
    """Refuse a name or a reason that cannot be kept and shown.

    Raises:
        RequestError: empty name, too long, not UTF-8, or with control characters.
    """
    if not by.strip():
        raise RequestError("the verdict has no name; give one: --by NAME")
    for text, what, longest in ((by, "name", LONGEST_NAME), (reason, "reason", LONGEST_REASON)):
        if len(text) > longest:
            raise RequestError(f"the {what} has {len(text)} characters; at most {longest} are kept")
        if any("\ud800" <= character <= "\udfff" for character in text):
            raise RequestError(f"the {what} {text[:80]!a} is not valid UTF-8")
        if not text.translate(_JOINERS).isprintable():
            raise RequestError(f"the {what} {text[:80]!a} has control or invisible characters; write it on one line")
