"""The timeline of the demo: which branch heads each step moved, and which commits the stages filled."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field

from pachyderm.client.branches import BranchName
from pachyderm.client.commits import Commit, all_commits, head
from pachyderm.client.connection import Connection, Target, connect
from pachyderm.client.files import read
from pachyderm.dag.promotion import ROLLED_BACK
from pachyderm.dag.repos import INPUTS, MODEL, STAGES, TRAIN, stage_of
from pachyderm.dag.short_ids import SHORT_ID
from pachyderm.record.stage_record import REPORT_HTML, StageRecord, read_record

_METRICS = {"steps": ("steps:", ".0f"), "held_out_l1": ("held-out L1", ".4f"), "held_out_ssim": ("SSIM", ".3f")}
"""Metric of a training -> its label and number format."""


@dataclass(frozen=True)
class HeadMove:
    """A branch head that a step moved.

    Attributes:
        branch: ``repo@branch``.
        commit: id of the head after the step.
        actor: who moved it, and with which command.
    """

    branch: str
    commit: str
    actor: str


@dataclass(frozen=True)
class FilledCommit:
    """An output commit that a stage filled during a step.

    Attributes:
        repo: repo of the commit.
        id: id of the commit.
        stage: name of the stage.
        outcome: ``computed``, ``reused`` or ``empty``.
        figures: what was computed, carried over or reused, and the metrics.
        seconds: from the claim to the publication.
        report: the stage's HTML report, or None.
    """

    repo: str
    id: str
    stage: str
    outcome: str
    figures: tuple[str, ...]
    seconds: float
    report: bytes | None

    @property
    def page(self) -> str:
        """File name of the pages about this commit."""
        return f"{self.repo}-{self.id[:SHORT_ID]}.html"


@dataclass(frozen=True)
class TimelineEntry:
    """A step of the demo as the report draws it.

    Attributes:
        title: what the user did.
        seconds: duration of the step.
        moves: heads of the input branches, then of `model@master`, that moved.
        commits: the output commits that were filled, upstream first.
    """

    title: str
    seconds: float
    moves: tuple[HeadMove, ...]
    commits: tuple[FilledCommit, ...]


@dataclass
class Timeline:
    """Follows a store from step to step.

    Attributes:
        entries: an entry for each step that moved a branch head, oldest first.
    """

    target: Target
    entries: list[TimelineEntry] = field(default_factory=list)
    _heads: dict[BranchName, Commit] = field(default_factory=dict)
    _filled: set[str] = field(default_factory=set)

    def begin(self) -> None:
        """Take the present heads and commits as the start."""
        with connect(self.target) as client:
            self._heads = _heads(client)
            self._filled = {str(commit) for commit in _output_commits(client)}

    def add(self, title: str, seconds: float) -> None:
        """Add an entry for what has happened since the last call."""
        with connect(self.target) as client:
            heads = _heads(client)
            new = [commit for commit in _output_commits(client) if str(commit) not in self._filled]
            commits = tuple(entry for commit in new if (entry := _filled_commit(client, commit)) is not None)
        exported = any(commit.repo == MODEL.repo for commit in commits)
        moves = tuple(
            HeadMove(str(branch), commit.id, _actor(branch, commit, exported))
            for branch, commit in heads.items()
            if self._heads[branch].id != commit.id
        )
        self._heads = heads
        self._filled.update(map(str, new))
        self.entries.append(TimelineEntry(title, seconds, moves, commits))


def _heads(client: Connection) -> dict[BranchName, Commit]:
    return {branch: head(client, branch) for branch in (*INPUTS, MODEL)}


def _output_commits(client: Connection) -> Iterator[Commit]:
    """Yield the commits of the output repos, upstream first, oldest first."""
    for stage in STAGES:
        yield from reversed(list(all_commits(client, stage.output.repo)))


def _actor(branch: BranchName, commit: Commit, exported: bool) -> str:
    if branch in INPUTS:
        return "you: pix2pix put"
    if exported:
        return "the stage export: promotion"
    went_back = any(key.partition(".")[0] == ROLLED_BACK for key in commit.metadata)
    return "you: pix2pix rollback" if went_back else "you: pix2pix promote"


def _filled_commit(client: Connection, commit: Commit) -> FilledCommit | None:
    """Summarise a commit, or return None if it has no record: set-up commits, and those that await an input."""
    record = read_record(client, commit.repo, commit.id)
    if record is None or record.outcome == "empty":
        return None
    report = read(client, commit.repo, commit.id, REPORT_HTML)
    figures = tuple(_figures(record))
    return FilledCommit(commit.repo, commit.id, record.stage, record.outcome, figures, record.seconds, report)


def _figures(record: StageRecord) -> Iterator[str]:
    counts = record.counts
    if record.reused_from is not None:
        yield f"{counts.carried} reused from {record.reused_from[:SHORT_ID]}, none computed"
    elif stage_of(record.commit.partition("@")[0]).per_file:
        yield f"{counts.computed} of {counts.inputs} computed, {counts.carried} carried over"
    metrics = record.metrics
    if record.stage == TRAIN.name and record.reused_from is None:
        yield from (f"{label} {metrics[name]:{form}}" for name, (label, form) in _METRICS.items() if name in metrics)
    if record.gate is not None:
        yield str(record.gate)
