"""What people are notified of, and the words for it."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from pachyderm.client.commits import Commit, CommitId
from pachyderm.dag.gate_decision import GateDecision
from pachyderm.dag.repos import pipeline_of, stage_of
from pachyderm.dag.review import decided
from pix2pix.escaping import escape

EventKind = Literal["failed", "promoted", "rolled_back", "held_back", "waiting", "no_leader"]

LONGEST_REASON = 1000
"""Characters of an error or reason at most; services refuse long messages."""

LEVELS: dict[EventKind, str] = {
    "failed": "failure",
    "promoted": "success",
    "rolled_back": "warning",
    "held_back": "warning",
    "waiting": "info",
    "no_leader": "failure",
}
"""Kind -> Apprise's type of notification."""


@dataclass(frozen=True)
class Event:
    """Something that happened once.

    Attributes:
        kind: what happened.
        commit: the commit that it is about, whose metadata holds what was sent.
        found_at: the commit by which it was found.
        title: one line.
        body: what happened and the remedy.
        path: path of its page in the web application.
        mark: distinguishes events of one kind at one commit, e.g. several promotions; may be empty.
    """

    kind: EventKind
    commit: Commit
    found_at: CommitId
    title: str
    body: str
    path: str
    mark: str = ""

    @property
    def key(self) -> str:
        """The part of metadata keys that names the event."""
        return f"{self.kind}.{self.mark}" if self.mark else self.kind

    def text(self, page: str) -> str:
        """Return the body with a link.

        Args:
            page: address of the web application; empty for no link.
        """
        return f"{self.body}\n{page.rstrip('/')}{self.path}" if page else self.body


def failed(commit: Commit) -> Event:
    """A commit set failed for good at this output commit."""
    pipeline = pipeline_of(stage_of(commit.repo).output).name
    reason = _short(commit.error.partition(":")[2].strip() or commit.error)
    body = f"{commit}: {reason}\nWhat was tried: pix2pix why {commit.id}\nRun it again: pix2pix retry {commit.id}"
    return Event("failed", commit, _id(commit), f"{pipeline} failed", body, f"/commits/{commit.repo}/{commit.id}")


def promoted(model: Commit, opened: Commit, before: str) -> Event:
    """A model was put into use, which opened a commit of `generate_images`; `before` was in use."""
    reason = decided(model)
    lines = [f"{model} is in use instead of {before[:12]}" if before else f"{model} is in use"]
    lines += [_short(reason)] if reason else []
    lines += ["Go back: pix2pix rollback"]
    return _of_model("promoted", model, "a model was promoted", lines, found_at=opened, mark=opened.id)


def rolled_back(model: Commit, opened: Commit, before: str) -> Event:
    """The model in use became an earlier one; `before` was in use."""
    lines = [f"{model} is in use again instead of {before[:12]}", f"Undo it: pix2pix promote {before}"]
    return _of_model("rolled_back", model, "the model was rolled back", lines, found_at=opened, mark=opened.id)


def held_back(model: Commit, decision: GateDecision) -> Event:
    """The gate kept a candidate from being promoted."""
    lines = [
        f"{model}: {_short(decision.reason)}",
        "The model in use stays.",
        f"Promote it nevertheless: pix2pix promote {model.id}",
    ]
    return _of_model("held_back", model, "a model was held back", lines)


def waiting(model: Commit, decision: GateDecision) -> Event:
    """A candidate waits for a verdict."""
    review = f"pix2pix review {model.id}"
    lines = [
        f"{model}: {_short(decision.reason)}",
        f"Look at it: {review}",
        f"Decide: {review} --approve --by NAME, or --reject -m WHY --by NAME",
    ]
    return _of_model("waiting", model, "a model waits for review", lines)


def no_leader(oldest: Commit, seconds: float, by: str) -> Event:
    """Work waits, and no trigger leads.

    Args:
        oldest: the oldest open output commit.
        seconds: for which no trigger has led.
        by: the trigger that noticed.
    """
    body = (
        f"{oldest} waits, and {escape(by)} has seen no trigger lead for {seconds:.0f} s.\n"
        "Check that the Kubernetes API answers and that the triggers may write their Lease: "
        "pix2pix trigger --check, kubectl get lease pix2pix-trigger"
    )
    return Event("no_leader", oldest, _id(oldest), "no trigger leads", body, "/")


def _of_model(
    kind: EventKind, model: Commit, title: str, lines: list[str], found_at: Commit | None = None, mark: str = ""
) -> Event:
    return Event(kind, model, _id(found_at or model), title, "\n".join(lines), f"/models/{model.id}", mark)


def _id(commit: Commit) -> CommitId:
    return CommitId(commit.repo, commit.id)


def _short(text: str) -> str:
    line = escape(text)
    return line if len(line) <= LONGEST_REASON else line[: LONGEST_REASON - 3] + "..."
