"""How an output commit is filled: not at all, by reuse of an earlier commit, or by work on what changed."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from types import MappingProxyType

from pachyderm.client.commits import Commit, CommitId, all_commits
from pachyderm.client.connection import Connection
from pachyderm.client.files import FileEntry, Listing, content, files
from pachyderm.output.ancestor import Ancestor
from pachyderm.output.derivation import Derivation
from pachyderm.output.plan import CarryBase, Plan, plan
from pachyderm.output.stage import Beginning, Stage
from pachyderm.record.fingerprints import FINGERPRINT, PARENT, RECIPE
from pachyderm.record.parent import Parent, parent_of
from pachyderm.record.quarantine import is_quarantined
from pachyderm.record.stage_record import StageRecord, readable_record

Expectations = Mapping[CommitId, Parent]

LOOK_BACK = 1000
"""How many commits of the repo are searched, newest first."""


@dataclass(frozen=True)
class Earlier:
    """An earlier good commit with the same fingerprint.

    Attributes:
        commit: the earlier commit.
        files: its listing, without its report.
        record: the record that its stage wrote.
    """

    commit: Commit
    files: Mapping[str, FileEntry]
    record: StageRecord


@dataclass(frozen=True)
class Filling:
    """How an output commit is filled; at most one of the first three is set, and none for a whole output that is made.

    Attributes:
        awaited: what a commit without anything to work on waits for.
        earlier: the commit that is copied.
        plan: the datums to compute and the outputs to carry over.
        start: what the work on a whole output begins with.
    """

    awaited: str | None = None
    earlier: Earlier | None = None
    plan: Plan | None = None
    start: Beginning = field(default_factory=Beginning)

    @property
    def parent_content(self) -> str:
        """Digest of the earlier output that this one begins with, or that the copied one began with; empty: none."""
        return self.earlier.record.parts.get(PARENT, "") if self.earlier is not None else self.start.content


def filling_of(
    client: Connection,
    stage: Stage,
    commit: Commit,
    derivation: Derivation,
    ancestor: Ancestor | None,
    expected: Expectations = MappingProxyType({}),
) -> Filling:
    """Decide how an output commit is filled.

    Args:
        client: the connection.
        stage: the stage that fills it.
        commit: the output commit; it need not exist yet.
        derivation: what its content is a function of.
        ancestor: its nearest good ancestor.
        expected: outputs that are not filled yet, as parents.

    Raises:
        PermanentError: the parameters want a parent that does not fit.
    """
    awaited = stage.awaited(derivation.inputs)
    if awaited is not None:
        return Filling(awaited=awaited)
    earlier = reusable(client, commit, derivation.fingerprint.recipe)
    if earlier is not None:
        return Filling(earlier=earlier)
    if stage.datums is None or stage.assign is None:
        return Filling(start=_start(client, stage, commit, derivation, expected))
    base = None
    if ancestor is not None:
        changed = derivation.fingerprint.differs_from(ancestor.record.parts)
        if set(changed) <= {f"inputs.{stage.datums}"}:
            base = CarryBase(ancestor.commit.id, ancestor.files, ancestor.record)
    return Filling(plan=plan(derivation.inputs[stage.datums].files, stage.assign, base))


def _start(
    client: Connection, stage: Stage, commit: Commit, derivation: Derivation, expected: Expectations
) -> Beginning:
    """Decide what the work on a whole output begins with."""
    continuation, values = stage.continuation, derivation.resolved.values
    if continuation is None or derivation.resolved.budget is not None or not continuation.wanted(values):
        return Beginning()  # what a time budget has not chosen yet cannot be compared
    source = derivation.inputs[stage.spec.inputs[0].repo].commit
    parent = parent_of(client, commit, source, expected)
    if parent is None:
        return Beginning(reason=f"no earlier commit of {source.repo} has an output in {commit.repo} to begin with")
    reason = continuation.misfit(values, derivation.inputs, parent)
    if reason:
        return Beginning(reason=f"it does not begin with {parent.commit}: {reason}")
    return Beginning(parent, parent.content(continuation.folder))


def reusable(client: Connection, commit: Commit, recipe: str) -> Earlier | None:
    """Return the newest good commit of the same repo that has this recipe and a record of exactly its files."""
    for earlier in all_commits(client, commit.repo, number=LOOK_BACK):
        known = earlier.metadata.get(RECIPE, earlier.metadata.get(FINGERPRINT))
        if earlier.id == commit.id or earlier.state != "good" or known != recipe:
            continue
        record = readable_record(client, earlier.repo, earlier.id) if not is_quarantined(earlier) else None
        listing = content(files(client, earlier.repo, earlier.id)) if record is not None else {}
        if record is not None and _matches(record, listing):
            return Earlier(earlier, listing, record)
    return None


def _matches(record: StageRecord, listing: Listing) -> bool:
    """Whether a record names exactly these files; hashes that the record does not know are not compared."""
    return record.files.keys() == listing.keys() and all(
        output.bytes == listing[path].bytes and output.hash in ("", listing[path].hash)
        for path, output in record.files.items()
    )
