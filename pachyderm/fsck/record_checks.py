"""Checks that a record agrees with its commit, inputs, fingerprint, parameters and its own totals."""

from __future__ import annotations

from collections.abc import Iterator, Mapping

from pachyderm.client.commits import Commit
from pachyderm.client.connection import Connection
from pachyderm.client.files import FileEntry
from pachyderm.dag.repos import stage_of
from pachyderm.errors import RequestError
from pachyderm.fsck.evidence import INPUT_REPOS, Evidence, Reading
from pachyderm.fsck.problem import Problem, Repair, unreadable
from pachyderm.fsck.quarantine_findings import quarantine_finding
from pachyderm.queue.commit_sets import own_parameters_key
from pachyderm.record.fingerprints import FINGERPRINT, Fingerprint, digest
from pachyderm.record.stage_record import InputRecord, StageRecord


def check_identity(reading: Reading, record: StageRecord) -> Iterator[Problem]:
    """Check that the record belongs to this commit and to the stage of its repo."""
    commit = reading.commit
    if record.commit != str(commit):
        what = f"its stage.json belongs to {record.commit}: it was copied, or the commit was finished by hand"
        yield quarantine_finding(commit, "RECORD_ELSEWHERE", what)
        return
    if record.stage != stage_of(commit.repo).name:
        what = f"its record is of the stage {record.stage}, and {stage_of(commit.repo).name} fills {commit.repo}"
        yield quarantine_finding(commit, "RECORD_STAGE", what)


def check_inputs(evidence: Evidence, reading: Reading, record: StageRecord) -> Iterator[Problem]:
    """Check that the recorded inputs exist, are those of the provenance, ended well, and are unchanged."""
    commit = reading.commit
    provenance = {(source.repo, source.id) for source in commit.provenance}
    recorded = {(source.repo, source.commit) for source in record.inputs}
    for repo, commit_id in sorted(recorded - provenance):
        if (repo, commit_id) not in evidence.known:
            what = f"it was made from {repo}@{commit_id}, which was dropped; the chain ends there"
            yield Problem("INPUT_GONE", str(commit), what, "it cannot be restored; the record keeps its digest")
        else:
            what = f"its record names {repo}@{commit_id}, and its provenance does not"
            yield quarantine_finding(commit, "INPUTS_DIFFER", what)
    for repo, commit_id in sorted(provenance - recorded):
        what = f"its provenance names {repo}@{commit_id}, and its record does not"
        yield quarantine_finding(commit, "INPUTS_DIFFER", what)
    for source in record.inputs:
        input_commit = evidence.known.get((source.repo, source.commit))
        if input_commit is not None:
            yield from _check_input(evidence, commit, source, input_commit)


def _check_input(evidence: Evidence, commit: Commit, recorded: InputRecord, input_commit: Commit) -> Iterator[Problem]:
    if input_commit.error:
        what = f"it is good, and its input {input_commit} ended with: {input_commit.error}"
        yield Problem("INPUT_FAILED", str(commit), what, f"`pix2pix retry {commit.id}` runs it again, if newest")
    elif input_commit.ended:
        try:
            listing, now = evidence.listing(recorded.repo, recorded.commit)
        except RequestError as error:
            yield unreadable(input_commit, error)
            return
        if (len(listing), now) != (recorded.files, recorded.digest):
            what = (
                f"{input_commit} had {recorded.files} files, digest {recorded.digest[:12]}; now it has {len(listing)},"
                f" {now[:12]}"
            )
            yield quarantine_finding(commit, "INPUT_CHANGED", what)


def check_fingerprint(reading: Reading, record: StageRecord) -> Iterator[Problem]:
    """Check that the fingerprint is the digest of its parts, and agrees with the record and the metadata."""
    commit = reading.commit
    consistent = digest(dict(record.parts)) == record.fingerprint
    if not consistent:
        what = f"the record's fingerprint {record.fingerprint[:12]} is not the digest of its parts"
        yield quarantine_finding(commit, "FINGERPRINT_UNTRUE", what)
    expected = {
        "stage": record.stage,
        "parameters": digest({name: parameter.value for name, parameter in record.parameters.items()}),
        **{f"versions.{name}": version for name, version in record.versions.items()},
        **{f"inputs.{source.repo}": source.digest for source in record.inputs},
    }
    for name, value in expected.items():
        if record.parts.get(name) != value:
            what = f"the part {name} of its fingerprint disagrees with the rest of its record"
            yield quarantine_finding(commit, "FINGERPRINT_PARTS", what)
    keys = Fingerprint(record.parts).keys | {FINGERPRINT: record.fingerprint}
    for name, value in keys.items():
        in_metadata = commit.metadata.get(name)
        if in_metadata == value:
            continue
        what = f"its metadata has the {name} {in_metadata or 'none'}, and its record {value}"
        if consistent:
            repair = f"sets the metadata key {name} to the record's"
            yield Problem("FINGERPRINT_METADATA", str(commit), what, repair, _set_key(commit, name, value))
        else:
            yield quarantine_finding(commit, "FINGERPRINT_METADATA", what)


def _set_key(commit: Commit, name: str, value: str) -> Repair:
    def repair(client: Connection) -> str:
        client.edit_keys(commit.repo, commit.id, put={name: value})
        return f"the metadata of {commit} now has the {name} {value}"

    return repair


def check_counts(evidence: Evidence, reading: Reading, record: StageRecord) -> Iterator[Problem]:
    """Check that the totals of the record add up, and that every input file became an output or was rejected."""
    commit, counts = reading.commit, record.counts
    datums = next((source for source in record.inputs if source.repo == stage_of(commit.repo).inputs[0].repo), None)
    totals = [
        ("accepted + rejected = inputs", counts.accepted + counts.rejected, counts.inputs),
        ("rejected files are listed", len(record.rejected), counts.rejected),
        ("computed + carried = files", counts.computed + counts.carried, len(record.files)),
    ]
    if datums is not None:
        totals.append(("inputs = files of the input commit", counts.inputs, datums.files))
    for rule, actual, expected in totals:
        if actual != expected:
            yield quarantine_finding(commit, "COUNTS", f"{rule} does not hold: {actual} and {expected}")
    if datums is None or record.outcome == "empty" or (datums.repo, datums.commit) not in evidence.known:
        return
    try:
        listing = evidence.listing(datums.repo, datums.commit)[0]
    except RequestError:
        return  # reported by check_inputs
    yield from _check_datums(commit, record, datums, listing)


def _check_datums(
    commit: Commit, record: StageRecord, datums: InputRecord, listing: Mapping[str, FileEntry]
) -> Iterator[Problem]:
    rejected = {entry.path for entry in record.rejected}
    for path in sorted(rejected - set(listing)):
        yield quarantine_finding(commit, "REJECTED_UNKNOWN", "it was rejected, and the input has no such file", path)
    if not stage_of(commit.repo).per_file:
        return
    sources = {file.source for file in record.files.values()}
    for path in sorted(set(listing) - sources - rejected):
        what = f"{datums.repo}@{datums.commit}:{path} has no output and was not rejected"
        yield quarantine_finding(commit, "INPUT_UNACCOUNTED", what)
    for path, file in record.files.items():
        entry = listing.get(file.source or "")
        if entry is None or entry.hash != file.source_hash:
            difference = "lacks" if entry is None else "has with other bytes"
            what = f"it was made from {file.source}, which the input {difference}"
            yield quarantine_finding(commit, "SOURCE_UNTRUE", what, path)


def check_parameters(evidence: Evidence, reading: Reading, record: StageRecord) -> Iterator[Problem]:
    """Check that the parameters come from the input commit at the root, and a run's own from this commit set."""
    commit = reading.commit
    root = commit
    while root.repo not in INPUT_REPOS:
        datums = stage_of(root.repo).inputs[0].repo
        source = next((source for source in root.provenance if source.repo == datums), None)
        found = evidence.known.get((source.repo, source.id)) if source is not None else None
        if found is None:
            return
        root = found
    if record.parameters_from != str(root):
        what = f"its record takes the parameters from {record.parameters_from}, and its root input is {root}"
        yield quarantine_finding(commit, "PARAMETERS_FROM", what)
    own = [name for name, parameter in record.parameters.items() if parameter.origin == "run"]
    if own and own_parameters_key(commit.id) not in root.metadata:
        what = f"{', '.join(own)} came from its run, and {root} has no hyperparameters of this commit set"
        yield quarantine_finding(commit, "PARAMETERS_UNEXPLAINED", what)
