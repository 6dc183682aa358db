"""Checks that a commit holds exactly the files of its record, byte for byte."""

from __future__ import annotations

from collections.abc import Iterator

from pachyderm.client.files import REPORT
from pachyderm.fsck.evidence import Reading
from pachyderm.fsck.problem import Problem
from pachyderm.fsck.quarantine_findings import FRESH_RESULTS, quarantine_finding
from pachyderm.record.stage_record import REJECTED_JSON, REPORT_HTML, StageRecord


def check_contents(reading: Reading, record: StageRecord) -> Iterator[Problem]:
    """Compare the files of a good commit with its record."""
    commit = reading.commit
    present = {path: entry for path, entry in reading.files.items() if not path.startswith(REPORT)}
    for path, file in record.files.items():
        entry = present.get(path)
        if entry is None:
            yield quarantine_finding(commit, "FILE_MISSING", "the record lists it, and the commit lacks it", path)
        elif entry.bytes != file.bytes:
            what = f"the record gives {file.bytes} bytes, and it has {entry.bytes}"
            yield quarantine_finding(commit, "FILE_SIZE", what, path)
        elif file.hash not in ("", entry.hash):
            what = f"the record gives the hash {file.hash}, and it has {entry.hash}"
            yield quarantine_finding(commit, "FILE_CHANGED", what, path)
        elif reading.sha256.get(path, file.sha256) != file.sha256:
            what = f"the record gives SHA-256 {file.sha256}, and it has {reading.sha256[path]}"
            yield quarantine_finding(commit, "FILE_CHANGED", what, path)
    for path in present:
        if path not in record.files:
            what = "the record does not list it: another program wrote it"
            yield quarantine_finding(commit, "FILE_FOREIGN", what, path)
    for path in (REPORT_HTML, REJECTED_JSON):
        if path not in reading.files:
            yield Problem("REPORT_MISSING", f"{commit}:{path}", "it is missing from the stage's report", FRESH_RESULTS)
