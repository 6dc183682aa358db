"""Whether a commit holds exactly the files that its record names, byte for byte.

It exists because the record is only worth something while the bytes are those that it speaks of.
"""

from __future__ import annotations

from collections.abc import Iterator

from pachyderm.client.files import REPORT
from pachyderm.fsck.distrusted import AFRESH, distrusted
from pachyderm.fsck.evidence import Reading
from pachyderm.fsck.problem import Problem
from pachyderm.record.stage_record import REJECTED_JSON, REPORT_HTML, StageRecord


def check_contents(reading: Reading, record: StageRecord) -> Iterator[Problem]:
    """Compare a good commit with its record."""
    commit = reading.commit
    present = {path: entry for path, entry in reading.files.items() if not path.startswith(REPORT)}
    for path, told in record.files.items():
        entry = present.get(path)
        if entry is None:
            yield distrusted(commit, "FILE_MISSING", "the record names it, and the commit lacks it", path)
        elif entry.bytes != told.bytes:
            what = f"the record says {told.bytes} bytes, and it has {entry.bytes}"
            yield distrusted(commit, "FILE_SIZE", what, path)
        elif told.hash not in ("", entry.hash):
            what = f"the record says the hash {told.hash}, and it has {entry.hash}"
            yield distrusted(commit, "FILE_CHANGED", what, path)
        elif reading.sha256.get(path, told.sha256) != told.sha256:
            what = f"the record says SHA-256 {told.sha256}, and it has {reading.sha256[path]}"
            yield distrusted(commit, "FILE_CHANGED", what, path)
    for path in present:
        if path not in record.files:
            yield distrusted(commit, "FILE_FOREIGN", "no record names it: a stranger wrote it", path)
    for path in (REPORT_HTML, REJECTED_JSON):
        if path not in reading.files:
            yield Problem("REPORT_MISSING", f"{commit}:{path}", "the stage's report lacks it", AFRESH)
