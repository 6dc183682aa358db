"""What an output commit shall hold, and the record of it, whichever way it came about.

It exists so that computed, reused and empty results are published and recorded by the same code.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field, replace
from pathlib import Path

from pachyderm.client.commits import Commit
from pachyderm.client.file_contents import FileContent, StoredFile, expected
from pachyderm.client.files import FileEntry
from pachyderm.dag.repos import DATUMS
from pachyderm.output.plan import CarryBase
from pachyderm.output.reuse import Earlier
from pachyderm.output.stage import Input, Job, Made, Resolved, Stage
from pachyderm.record.fingerprints import Fingerprint
from pachyderm.record.stage_record import (
    REJECTED_JSON,
    REPORT_HTML,
    STAGE_JSON,
    Counts,
    InputRecord,
    OutputFile,
    Rejected,
    StageRecord,
)


@dataclass(frozen=True)
class Result:
    """A result before it is published.

    Attributes:
        outcome: ``computed``, ``reused`` or ``empty``.
        content: output path -> content, without the report.
        files: output path -> what the record says of it.
        computed: how many of them this attempt computed.
        html: the work's own report, or empty for the stage's plain page.
    """

    outcome: str
    content: Mapping[str, FileContent] = field(default_factory=dict)
    files: Mapping[str, OutputFile] = field(default_factory=dict)
    computed: int = 0
    rejected: tuple[Rejected, ...] = ()
    metrics: Mapping[str, float] = field(default_factory=dict)
    html: str = ""
    notes: tuple[str, ...] = ()
    awaited: str | None = None
    reused_from: str | None = None
    base: str | None = None

    def record(
        self,
        *,
        stage: Stage,
        commit: Commit,
        inputs: Mapping[str, Input],
        fingerprint: Fingerprint,
        resolved: Resolved,
        parameters_from: str,
        run: Mapping[str, str],
        started: float,
        seconds: float,
        present: Mapping[str, FileEntry],
    ) -> StageRecord:
        """What the stage says about the commit; `present` is what the open commit shows before publication."""
        counted = inputs[stage.datums].files if stage.datums else next(iter(inputs.values())).files
        deleted = tuple(path for path in present if path not in self.content)
        return StageRecord(
            stage=stage.name,
            commit=str(commit),
            outcome=self.outcome,
            inputs=tuple(
                InputRecord(repo, one.commit.id, len(one.files), one.digest) for repo, one in sorted(inputs.items())
            ),
            fingerprint=fingerprint.value,
            parts=dict(fingerprint.parts),
            parameters=dict(resolved.parameters),
            parameters_from=parameters_from,
            versions=dict(stage.versions()),
            run=dict(run),
            started=started,
            seconds=round(seconds, 3),
            counts=Counts(
                inputs=len(counted),
                accepted=len(counted) - len(self.rejected),
                rejected=len(self.rejected),
                computed=self.computed,
                carried=len(self.files) - self.computed,
                deleted=len(deleted),
            ),
            files=dict(self.files),
            deleted=deleted,
            rejected=self.rejected,
            metrics=dict(self.metrics),
            notes=self.notes,
            awaited=self.awaited,
            reused_from=self.reused_from,
            base=self.base,
        )

    def report(self, stage: Stage, record: StageRecord) -> dict[str, FileContent]:
        """The files under `/_report/`."""
        rejected = json.dumps([asdict(one) for one in record.rejected], indent=1) + "\n"
        local = {path: one for path, one in self.content.items() if isinstance(one, Path)}
        return {
            STAGE_JSON: record.to_json(),
            REJECTED_JSON: rejected.encode(),
            REPORT_HTML: (self.html or stage.page(record, local)).encode(),
        }


def empty(awaited: str) -> Result:
    """The result of a stage that has nothing to work on yet."""
    return Result("empty", awaited=awaited)


def reused(earlier: Earlier) -> Result:
    """The files of an earlier commit, copied on the server."""
    commit = earlier.commit
    return Result(
        "reused",
        content={path: StoredFile(commit.repo, commit.id, path, entry) for path, entry in earlier.files.items()},
        files=dict(earlier.record.files),
        rejected=earlier.record.rejected,
        metrics=earlier.record.metrics,
        reused_from=commit.id,
    )


def computed(job: Job, made: Made, base: CarryBase | None) -> Result:
    """What the work made, beside what is carried over from the base."""
    repo, commit_id = job.commit.repo, job.commit.id
    sources: dict[str, str] = {}
    # Another input may hold files of the same names.
    listing = job.inputs[DATUMS[repo]].files
    content: dict[str, FileContent] = {}
    files: dict[str, OutputFile] = {}
    rejected = list(made.rejected)
    if job.plan is not None:
        sources = {output: path for path, output in job.plan.compute.items()}
        rejected += job.plan.rejected
        for path, (output, carried) in job.plan.carried.items():
            content[output] = StoredFile(repo, carried.commit, carried.path, carried.entry)
            files[output] = replace(carried.made, source=path)
    for output, local in made.files.items():
        source = sources.get(output)
        entry = listing[source] if source else None
        looks = expected(local)
        content[output] = local
        files[output] = OutputFile(
            bytes=looks.bytes,
            sha256=_sha256(local),
            hash=looks.hash or "",
            source=source,
            source_hash=entry.hash if entry else None,
            source_bytes=entry.bytes if entry else None,
            computed_in=commit_id,
        )
    return Result(
        "computed",
        content=content,
        files=files,
        computed=len(made.files),
        rejected=tuple(
            sorted(
                (replace(one, hash=listing[one.path].hash, bytes=listing[one.path].bytes) for one in rejected),
                key=lambda one: one.path.encode(),
            )
        ),
        metrics=made.metrics,
        html=made.report,
        notes=made.notes,
        base=base.commit if base and job.plan and job.plan.carried else None,
    )


def _sha256(path: Path) -> str:
    with path.open("rb") as stream:
        return hashlib.file_digest(stream, "sha256").hexdigest()
