"""The content of an output commit before publication, and its record: computed, reused or empty."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field, replace
from pathlib import Path

from pachyderm.client.commits import Commit
from pachyderm.client.file_contents import FileContent, StoredFile, expected
from pachyderm.client.files import REPORT, FileEntry, Listing
from pachyderm.dag.repos import stage_of
from pachyderm.output.derivation import Derivation
from pachyderm.output.plan import Plan
from pachyderm.output.reuse import Earlier
from pachyderm.output.stage import Beginning, Judgement, Stage, StageContext, StageOutput
from pachyderm.record.stage_record import (
    REJECTED_JSON,
    REPORT_HTML,
    STAGE_JSON,
    Counts,
    InputCheck,
    InputRecord,
    OutputFile,
    Rejected,
    StageRecord,
)


@dataclass(frozen=True)
class Execution:
    """The circumstances under which a result came about; they are recorded, and shape no output.

    Attributes:
        run: ``id`` of the run, ``attempt`` and number of the ``claim``.
        started: seconds since 1970.
        seconds: duration.
        present: listing of the open commit before publication, without report.
    """

    run: Mapping[str, str]
    started: float
    seconds: float
    present: Mapping[str, FileEntry]


@dataclass(frozen=True)
class Result:
    """A result before it is published.

    Attributes:
        outcome: ``computed``, ``reused`` or ``empty``.
        content: output path -> content, without the report.
        files: output path -> its entry in the record.
        computed: number of files that this attempt computed.
        rejected: inputs that gave no output, in byte order of their paths.
        metrics: name -> figure.
        html: the work's own report, or empty for the stage's plain page.
        notes: sentences for the report.
        warnings: about results that are probably unintended.
        check: probable faults of the inputs.
        held_out: input paths that were measured on and not learnt from.
        awaited: what an empty commit waits for.
        reused_from: id of the commit that was reused.
        base: id of the commit that files were carried over from.
        parent: id of the commit that the work began with.
        judgement: what the gate found about a model; None for anything else.
        samples: output path -> local copy, of some outputs that are not local files.
    """

    outcome: str
    content: Mapping[str, FileContent] = field(default_factory=dict)
    files: Mapping[str, OutputFile] = field(default_factory=dict)
    computed: int = 0
    rejected: tuple[Rejected, ...] = ()
    metrics: Mapping[str, float] = field(default_factory=dict)
    html: str = ""
    notes: tuple[str, ...] = ()
    warnings: tuple[str, ...] = ()
    check: InputCheck | None = None
    held_out: tuple[str, ...] | None = None
    awaited: str | None = None
    reused_from: str | None = None
    base: str | None = None
    parent: str | None = None
    judgement: Judgement | None = None
    samples: Mapping[str, Path] = field(default_factory=dict)

    def record(self, stage: Stage, commit: Commit, derivation: Derivation, execution: Execution) -> StageRecord:
        """Return the record of the commit."""
        inputs = derivation.inputs
        deleted = tuple(path for path in execution.present if path not in self.content)
        counted = inputs[stage.datums] if stage.datums else next(iter(inputs.values()))
        return StageRecord(
            stage=stage.name,
            commit=str(commit),
            outcome=self.outcome,
            inputs=tuple(
                InputRecord(repo, entry.commit.id, len(entry.files), entry.digest)
                for repo, entry in sorted(inputs.items())
            ),
            fingerprint=derivation.fingerprint.value,
            parts=dict(derivation.fingerprint.parts),
            parameters=dict(derivation.resolved.parameters),
            parameters_from=derivation.parameters_from,
            versions=dict(stage.versions()),
            run=dict(execution.run),
            started=execution.started,
            seconds=round(execution.seconds, 3),
            counts=self._counts(len(counted.files), len(deleted)),
            files=dict(self.files),
            deleted=deleted,
            rejected=self.rejected,
            metrics=dict(self.metrics),
            notes=self.notes,
            warnings=self.warnings,
            check=self.check,
            held_out=self.held_out,
            awaited=self.awaited,
            reused_from=self.reused_from,
            base=self.base,
            parent=self.parent,
            gate=self.judgement.decision if self.judgement else None,
        )

    def _counts(self, inputs: int, deleted: int) -> Counts:
        return Counts(
            inputs=inputs,
            accepted=inputs - len(self.rejected),
            rejected=len(self.rejected),
            computed=self.computed,
            carried=len(self.files) - self.computed,
            deleted=deleted,
        )

    def report(self, stage: Stage, record: StageRecord) -> dict[str, FileContent]:
        """Return the files under `/_report/`: path -> content."""
        rejected = json.dumps([asdict(entry) for entry in record.rejected], indent=1) + "\n"
        pictures = {f"{REPORT}{path}": file for path, file in self.judgement.pictures.items()} if self.judgement else {}
        local = {path: content for path, content in self.content.items() if isinstance(content, Path)}
        return {
            STAGE_JSON: record.to_json(),
            REJECTED_JSON: rejected.encode(),
            REPORT_HTML: (self.html or stage.page(record, {**self.samples, **local, **pictures})).encode(),
            **pictures,
        }


def empty(awaited: str) -> Result:
    """Return the result of a stage that has nothing to work on yet."""
    return Result("empty", awaited=awaited)


def reused(earlier: Earlier) -> Result:
    """Return a server-side copy of an earlier commit's files."""
    commit = earlier.commit
    return Result(
        "reused",
        content={path: StoredFile(commit.repo, commit.id, path, entry) for path, entry in earlier.files.items()},
        files=dict(earlier.record.files),
        rejected=earlier.record.rejected,
        metrics=earlier.record.metrics,
        warnings=earlier.record.warnings,
        check=earlier.record.check,
        held_out=earlier.record.held_out,
        reused_from=commit.id,
        parent=earlier.record.parent,
    )


def computed(context: StageContext, output: StageOutput) -> Result:
    """Return the files that a stage computed, together with those that its plan carries over."""
    commit, plan = context.commit, context.plan or Plan({}, {}, ())
    # By the stage's first input, not by path alone: another input may hold files of the same names.
    listing = context.inputs[stage_of(commit.repo).inputs[0].repo].files
    content: dict[str, FileContent] = {
        path: StoredFile(carried.repo or commit.repo, carried.commit, carried.path, carried.entry)
        for path, carried in plan.carried.values()
    }
    files = carried_over(plan) | computed_files(output.files, plan, listing, commit.id)
    # Warnings about the pictures computed now stand for those about the pictures carried over.
    warnings = tuple(dict.fromkeys((*plan.shard_warnings, *output.warnings))) or plan.warnings
    return Result(
        "computed",
        content={**content, **output.files},
        files=files,
        computed=sum(entry.computed_in == commit.id for entry in files.values()),
        rejected=located((*output.rejected, *plan.rejected), listing),
        metrics=output.metrics,
        html=output.report,
        notes=(*_notes(context.start, output), *output.notes),
        warnings=warnings,
        check=output.check,
        held_out=output.held_out,
        base=plan.base,
        parent=context.start.parent.commit.id if context.start.parent and not output.began_anew else None,
        samples=plan.samples,
    )


def _notes(start: Beginning, output: StageOutput) -> tuple[str, ...]:
    if start.parent is not None and not output.began_anew:
        return (f"The work began with {start.parent.commit}.",)
    return (f"The work began anew: {start.reason}.",) if start.reason else ()


def carried_over(plan: Plan) -> dict[str, OutputFile]:
    """Return the record's entries of the files that a plan carries over."""
    return {
        path: carried.made if carried.made.source == source else replace(carried.made, source=source)
        for source, (path, carried) in plan.carried.items()
    }


def computed_files(files: Mapping[str, Path], plan: Plan, listing: Listing, commit_id: str) -> dict[str, OutputFile]:
    """Return the record's entries of computed files.

    Args:
        files: output path -> local file.
        plan: names the input of each output.
        listing: of the inputs.
        commit_id: the output commit.
    """
    sources = {output: source for source, output in plan.compute.items()}
    entries = {}
    for path, local in files.items():
        source, expectation = sources.get(path), expected(local)
        entry = listing[source] if source else None
        entries[path] = OutputFile(
            bytes=expectation.bytes,
            sha256=_sha256(local),
            hash=expectation.hash or "",
            source=source,
            source_hash=entry.hash if entry else None,
            source_bytes=entry.bytes if entry else None,
            computed_in=commit_id,
        )
    return entries


def located(rejected: Sequence[Rejected], listing: Listing) -> tuple[Rejected, ...]:
    """Return rejections with the hash and size of their inputs, in byte order of their paths."""
    complete = (replace(entry, hash=listing[entry.path].hash, bytes=listing[entry.path].bytes) for entry in rejected)
    return tuple(sorted(complete, key=lambda entry: entry.path.encode()))


def _sha256(path: Path) -> str:
    with path.open("rb") as stream:
        return hashlib.file_digest(stream, "sha256").hexdigest()
