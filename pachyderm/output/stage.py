"""What a stage brings to an output commit, and what it is given: the types between a stage's file and the protocol.

It exists so that a stage's own file holds only its work, and the protocol knows no stage.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from pachyderm.client.branches import BranchName
from pachyderm.client.commits import Commit
from pachyderm.client.connection import Connection
from pachyderm.client.files import FileEntry
from pachyderm.dag.repos import StageSpec
from pachyderm.output.plan import Assign, Plan
from pachyderm.record.stage_record import RecordedParameter, Rejected, StageRecord


@dataclass(frozen=True)
class Input:
    """A commit in the direct provenance of the output commit.

    Attributes:
        commit: finished and good.
        files: its listing without report and parameters file.
        digest: of that listing.
    """

    commit: Commit
    files: Mapping[str, FileEntry]
    digest: str


@dataclass(frozen=True)
class Resolved:
    """A stage's parameters for one output commit.

    Attributes:
        values: what the work takes.
        parameters: each shown with where it came from; all of them count in the fingerprint.
        promote: whether the result becomes the model that generates, where the stage makes models.
    """

    values: Any
    parameters: Mapping[str, RecordedParameter]
    promote: bool = False


@dataclass(frozen=True)
class Job:
    """One output commit's work, as a stage sees it.

    Attributes:
        client: the connection.
        commit: the output commit.
        inputs: repo -> the input commit.
        parameters: the stage's own type of parameters.
        plan: which datums are work; None for a stage whose output is one whole.
        scratch: an empty folder of this attempt; gone afterwards.
        keep: a folder that the next attempt at equal work finds again.
        progress: called as ``progress(done, total, note)``.
        save: stores what is in `keep` now where the next attempt finds it on any machine; for one thread at a time. It
            takes as long as the transfer, raises nothing, and does nothing where `keep` outlives the attempt.
    """

    client: Connection
    commit: Commit
    inputs: Mapping[str, Input]
    parameters: Any
    plan: Plan | None
    scratch: Path
    keep: Path
    progress: Callable[[int, int, str], None]
    save: Callable[[], None] = lambda: None


@dataclass(frozen=True)
class Made:
    """What the work made.

    Attributes:
        files: output path (absolute) -> local file.
        rejected: inputs that gave no output.
        metrics: figures for the record and the Kubeflow UI.
        report: self-contained HTML for people; empty for the plain one.
        notes: sentences for the report, such as that training was resumed.
    """

    files: Mapping[str, Path]
    rejected: tuple[Rejected, ...] = ()
    metrics: Mapping[str, float] = field(default_factory=dict)
    report: str = ""
    notes: tuple[str, ...] = ()


@dataclass(frozen=True)
class Stage:
    """A stage with its code.

    Attributes:
        spec: name, output branch and inputs.
        code: digest of the source files that shape the output.
        versions: package -> version, of the libraries that shape the output.
        resolve: text of the parameters file or None, the set's own parameters, names for errors -> parameters. Raises
            PermanentError where they cannot be used.
        work: does it. Raises PermanentError where no retry can help.
        awaited: what a commit that has nothing to work on waits for, or None where there is work.
        page: record, output path -> local file where there is one -> HTML report for people.
        assign: names of outputs; for a stage whose spec is `per_file`.
    """

    spec: StageSpec
    code: Callable[[], str]
    versions: Callable[[], Mapping[str, str]]
    resolve: Callable[[str | None, Mapping[str, Any], str], Resolved]
    work: Callable[[Job], Made]
    awaited: Callable[[Mapping[str, Input]], str | None]
    page: Callable[[StageRecord, Mapping[str, Path]], str]
    assign: Assign | None = None

    @property
    def name(self) -> str:
        """The stage's name."""
        return self.spec.name

    @property
    def output(self) -> BranchName:
        """The branch whose output commits it fills."""
        return self.spec.output

    @property
    def datums(self) -> str | None:
        """The input repo each of whose files becomes one output file; None where the output is made as a whole."""
        return self.spec.inputs[0].repo if self.spec.per_file else None
