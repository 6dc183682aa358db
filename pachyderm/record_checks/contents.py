"""Whether a commit holds exactly the files that its record names, byte for byte.

It exists because the record is only worth something while the bytes are those that it speaks of.
"""

from __future__ import annotations

from collections.abc import Iterator

from pachyderm.record_checks.evidence import Reading
from pachyderm.record_checks.problem import Problem
from pachyderm.repos import REPORT
from pachyderm.stage_record import REJECTED_JSON, REPORT_HTML, StageRecord

AFRESH = "the commit stays as it is; `pix2pix run PIPELINE --commit-set new` makes the newest inputs' results again"
AGAIN = f"marks it untrue: nothing is copied from it any more; {AFRESH}"


def check_contents(reading: Reading, record: StageRecord) -> Iterator[Problem]:
    """Compare a good commit with its record."""
    commit = reading.commit
    present = {path: entry for path, entry in reading.files.items() if not path.startswith(REPORT)}
    for path, told in record.files.items():
        entry = present.get(path)
        if entry is None:
            yield Problem("FILE_MISSING", f"{commit}:{path}", "the record names it, and the commit lacks it", AGAIN)
        elif entry.bytes != told.bytes:
            what = f"the record says {told.bytes} bytes, and it has {entry.bytes}"
            yield Problem("FILE_SIZE", f"{commit}:{path}", what, AGAIN)
        elif told.hash not in ("", entry.hash):
            what = f"the record says the hash {told.hash}, and it has {entry.hash}"
            yield Problem("FILE_CHANGED", f"{commit}:{path}", what, AGAIN)
        elif reading.sha256.get(path, told.sha256) != told.sha256:
            what = f"the record says SHA-256 {told.sha256}, and it has {reading.sha256[path]}"
            yield Problem("FILE_CHANGED", f"{commit}:{path}", what, AGAIN)
    for path in present:
        if path not in record.files:
            yield Problem("FILE_FOREIGN", f"{commit}:{path}", "no record names it: a stranger wrote it", AGAIN)
    for path in (REPORT_HTML, REJECTED_JSON):
        if path not in reading.files:
            yield Problem("REPORT_MISSING", f"{commit}:{path}", "the stage's report lacks it", AFRESH)
