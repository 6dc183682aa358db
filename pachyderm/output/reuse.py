"""How an output commit is filled: not at all, by reuse of an earlier commit, or by work on what changed."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from pachyderm.client.commits import Commit, all_commits
from pachyderm.client.connection import Connection
from pachyderm.client.files import FileEntry, Listing, content, files
from pachyderm.output.ancestor import Ancestor
from pachyderm.output.derivation import Derivation
from pachyderm.output.plan import CarryBase, Plan, plan
from pachyderm.output.stage import Stage
from pachyderm.record.fingerprints import FINGERPRINT
from pachyderm.record.quarantine import is_quarantined
from pachyderm.record.stage_record import StageRecord, readable_record

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
    """How an output commit is filled; at most one attribute is set, and none for a whole output that is made anew.

    Attributes:
        awaited: what a commit without anything to work on waits for.
        earlier: the commit that is copied.
        plan: the datums to compute and the outputs to carry over.
    """

    awaited: str | None = None
    earlier: Earlier | None = None
    plan: Plan | None = None


def filling_of(
    client: Connection, stage: Stage, commit: Commit, derivation: Derivation, ancestor: Ancestor | None
) -> Filling:
    """Decide how an output commit is filled.

    Args:
        client: the connection.
        stage: the stage that fills it.
        commit: the output commit; it need not exist yet.
        derivation: what its content is a function of.
        ancestor: its nearest good ancestor.
    """
    awaited = stage.awaited(derivation.inputs)
    if awaited is not None:
        return Filling(awaited=awaited)
    earlier = reusable(client, commit, derivation.fingerprint.value)
    if earlier is not None:
        return Filling(earlier=earlier)
    if stage.datums is None or stage.assign is None:
        return Filling()
    base = None
    if ancestor is not None:
        changed = derivation.fingerprint.differs_from(ancestor.record.parts)
        if set(changed) <= {f"inputs.{stage.datums}"}:
            base = CarryBase(ancestor.commit.id, ancestor.files, ancestor.record)
    return Filling(plan=plan(derivation.inputs[stage.datums].files, stage.assign, base))


def reusable(client: Connection, commit: Commit, fingerprint: str) -> Earlier | None:
    """Return the newest good commit of the same repo that has this fingerprint and a record of exactly its files."""
    for earlier in all_commits(client, commit.repo, number=LOOK_BACK):
        if earlier.id == commit.id or earlier.state != "good" or earlier.metadata.get(FINGERPRINT) != fingerprint:
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
