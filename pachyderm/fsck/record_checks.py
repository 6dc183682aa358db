"""Whether what a record says agrees with its commit, its inputs, its fingerprint and its own sums.

It exists because the next commit plans from it, and a person a year later believes it.
"""

from __future__ import annotations

from collections.abc import Iterator

from pachyderm.client.commits import Commit
from pachyderm.client.connection import Connection
from pachyderm.dag.repos import stage_of
from pachyderm.errors import RequestError
from pachyderm.fsck.distrusted import distrusted
from pachyderm.fsck.evidence import INPUT_REPOS, Evidence, Reading
from pachyderm.fsck.problem import Mend, Problem, unreadable
from pachyderm.queue.commit_sets import own_parameters_key
from pachyderm.record.fingerprints import FINGERPRINT, digest
from pachyderm.record.stage_record import StageRecord


def check_identity(reading: Reading, record: StageRecord) -> Iterator[Problem]:
    """The record is this commit's, by this stage, from these inputs."""
    commit = reading.commit
    if record.commit != str(commit):
        what = f"its stage.json speaks of {record.commit}: it was copied there, or the commit was finished by hand"
        yield distrusted(commit, "RECORD_ELSEWHERE", what)
        return
    if record.stage != stage_of(commit.repo).name:
        what = f"its record is of the stage {record.stage}, and {stage_of(commit.repo).name} fills {commit.repo}"
        yield distrusted(commit, "RECORD_STAGE", what)


def check_inputs(evidence: Evidence, reading: Reading, record: StageRecord) -> Iterator[Problem]:
    """The inputs are there, are those in the provenance, ended well, and hold what they held then."""
    commit = reading.commit
    provenance = {(one.repo, one.id) for one in commit.provenance}
    told = {(one.repo, one.commit) for one in record.inputs}
    for repo, commit_id in sorted(told - provenance):
        if (repo, commit_id) not in evidence.known:
            what = f"it was made from {repo}@{commit_id}, which was dropped; the chain breaks there"
            yield Problem("INPUT_GONE", str(commit), what, "nothing brings it back; the record keeps its digest")
        else:
            what = f"its record says {repo}@{commit_id}, and its provenance does not"
            yield distrusted(commit, "INPUTS_DIFFER", what)
    for repo, commit_id in sorted(provenance - told):
        what = f"it is made from {repo}@{commit_id}, and its record does not say so"
        yield distrusted(commit, "INPUTS_DIFFER", what)
    for one in record.inputs:
        above = evidence.known.get((one.repo, one.commit))
        if above is None:
            continue
        if above.error:
            what = f"it is good, and its input {above} ended with: {above.error}"
            yield Problem("INPUT_FAILED", str(commit), what, f"`pix2pix retry {commit.id}` runs it again, if newest")
        elif above.ended:
            try:
                listing, now = evidence.listing(one.repo, one.commit)
            except RequestError as error:
                yield unreadable(above, error)
                continue
            if (len(listing), now) != (one.files, one.digest):
                what = f"{above} held {one.files} files, digest {one.digest[:12]}; now {len(listing)}, {now[:12]}"
                yield distrusted(commit, "INPUT_CHANGED", what)


def check_fingerprint(reading: Reading, record: StageRecord) -> Iterator[Problem]:
    """The fingerprint is the digest of its parts, the parts are those of the record, and the metadata says the same."""
    commit = reading.commit
    consistent = digest(dict(record.parts)) == record.fingerprint
    if not consistent:
        what = f"the record's fingerprint {record.fingerprint[:12]} is not the digest of its parts"
        yield distrusted(commit, "FINGERPRINT_UNTRUE", what)
    expected = {
        "stage": record.stage,
        "parameters": digest({name: one.value for name, one in record.parameters.items()}),
        **{f"versions.{name}": version for name, version in record.versions.items()},
        **{f"inputs.{one.repo}": one.digest for one in record.inputs},
    }
    for name, value in expected.items():
        if record.parts.get(name) != value:
            what = f"the part {name} of its fingerprint is not what the record says elsewhere"
            yield distrusted(commit, "FINGERPRINT_PARTS", what)
    kept = commit.metadata.get(FINGERPRINT)
    if kept != record.fingerprint:
        what = f"its metadata says fingerprint {kept or 'nothing'}, and its record {record.fingerprint}"
        if consistent:
            repair = f"sets the metadata key {FINGERPRINT} to the record's"
            mend = _set_fingerprint(commit, record.fingerprint)
            yield Problem("FINGERPRINT_METADATA", str(commit), what, repair, mend)
        else:
            yield distrusted(commit, "FINGERPRINT_METADATA", what)


def _set_fingerprint(commit: Commit, value: str) -> Mend:
    def mend(client: Connection) -> str:
        client.edit_keys(commit.repo, commit.id, put={FINGERPRINT: value})
        return f"the metadata of {commit} says fingerprint {value} now"

    return mend


def check_counts(evidence: Evidence, reading: Reading, record: StageRecord) -> Iterator[Problem]:
    """Accepted and rejected make the inputs, computed and carried the outputs, and each input is accounted for."""
    commit, counts = reading.commit, record.counts
    datums = next((one for one in record.inputs if one.repo == stage_of(commit.repo).inputs[0].repo), None)
    sums = [
        ("accepted + rejected = inputs", counts.accepted + counts.rejected, counts.inputs),
        ("rejected files are listed", len(record.rejected), counts.rejected),
        ("computed + carried = files", counts.computed + counts.carried, len(record.files)),
    ]
    if datums is not None:
        sums.append(("inputs = files of the input commit", counts.inputs, datums.files))
    for rule, is_now, should in sums:
        if is_now != should:
            yield distrusted(commit, "COUNTS", f"{rule} does not hold: {is_now} and {should}")
    if datums is None or record.outcome == "empty" or (datums.repo, datums.commit) not in evidence.known:
        return
    try:
        listing = evidence.listing(datums.repo, datums.commit)[0]
    except RequestError:
        return  # told with the inputs
    refused = {one.path for one in record.rejected}
    for path in sorted(refused - set(listing)):
        yield distrusted(commit, "REJECTED_UNKNOWN", "it was rejected, and the input has no such file", path)
    if not stage_of(commit.repo).per_file:
        return
    sources = {one.source for one in record.files.values()}
    for path in sorted(set(listing) - sources - refused):
        what = f"{datums.repo}@{datums.commit}:{path} became no file and was not rejected"
        yield distrusted(commit, "INPUT_UNACCOUNTED", what)
    for path, one in record.files.items():
        entry = listing.get(one.source or "")
        if entry is None or entry.hash != one.source_hash:
            what = (
                f"it was made from {one.source}, which the input {'lacks' if entry is None else 'has with other bytes'}"
            )
            yield distrusted(commit, "SOURCE_UNTRUE", what, path)


def check_parameters(evidence: Evidence, reading: Reading, record: StageRecord) -> Iterator[Problem]:
    """The parameters come from the input commit at the root, and a run's own were given to this set."""
    commit = reading.commit
    root = commit
    while root.repo not in INPUT_REPOS:
        above = next((one for one in root.provenance if one.repo == stage_of(root.repo).inputs[0].repo), None)
        found = evidence.known.get((above.repo, above.id)) if above is not None else None
        if found is None:
            return
        root = found
    if record.parameters_from != str(root):
        what = f"its record takes the parameters from {record.parameters_from}, and it goes back to {root}"
        yield distrusted(commit, "PARAMETERS_FROM", what)
    given = [name for name, one in record.parameters.items() if one.origin == "run"]
    if given and own_parameters_key(commit.id) not in root.metadata:
        what = f"{', '.join(given)} came from its run, and {root} keeps no hyperparameters of this set"
        yield distrusted(commit, "PARAMETERS_UNEXPLAINED", what)
