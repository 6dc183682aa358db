"""The interface between a stage and the protocol that fills its output commits."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Protocol

from pachyderm.client.branches import BranchName
from pachyderm.client.commits import Commit
from pachyderm.client.connection import Connection
from pachyderm.client.file_contents import FileContent
from pachyderm.client.files import FileEntry
from pachyderm.dag.gate_decision import GateDecision
from pachyderm.dag.repos import StageSpec
from pachyderm.output.plan import Assign, Plan
from pachyderm.record.fingerprints import Fingerprint
from pachyderm.record.parent import Parent
from pachyderm.record.stage_record import InputCheck, RecordedParameter, Rejected, StageRecord


@dataclass(frozen=True)
class Input:
    """A commit in the direct provenance of the output commit.

    Attributes:
        commit: finished without error.
        files: its listing, without report and parameters file.
        digest: of that listing.
    """

    commit: Commit
    files: Mapping[str, FileEntry]
    digest: str


@dataclass(frozen=True)
class TimeBudget:
    """What a stage's parameters leave to the time that its work may take.

    Attributes:
        seconds: that the work may take.
        given: names and values that were set.
        settle: (values that were chosen) -> the parameters with them. Raises PermanentError if one is invalid.
    """

    seconds: float
    given: Mapping[str, Any]
    settle: Callable[[Mapping[str, Any]], Resolved]


@dataclass(frozen=True)
class Resolved:
    """A stage's parameters for one output commit.

    Attributes:
        values: what `Stage.work` takes as its parameters.
        parameters: each value with its origin; all of them enter the fingerprint. Those that are left to a budget have
            the value None until they are chosen.
        policy: when a model that the stage makes is promoted, for `Stage.judge`; no part of the fingerprint.
        budget: what is left to a time budget, which `pachyderm.output.settlement` settles; None if nothing is.
        seconds: the duration that the parameters ask for; None if they ask for none.
    """

    values: Any
    parameters: Mapping[str, RecordedParameter]
    policy: Any = None
    budget: TimeBudget | None = None
    seconds: float | None = None


@dataclass(frozen=True)
class Beginning:
    """What the work on a whole output begins with.

    Attributes:
        parent: an earlier output of the same repo; None to begin with nothing.
        content: digest of what is used of the parent; empty without one.
        reason: why it begins with nothing, although the parameters ask for a parent.
    """

    parent: Parent | None = None
    content: str = ""
    reason: str = ""


@dataclass(frozen=True)
class Continuation:
    """How a stage begins with an earlier output of its own repo.

    Attributes:
        wanted: (the stage's parameters) -> whether they ask for it.
        misfit: (parameters, inputs, the parent) -> why it cannot be begun with, or empty. Raises PermanentError if the
            parameters allow nothing else.
        folder: of the parent's files that are used, with a slash at its end.
    """

    wanted: Callable[[Any], bool]
    misfit: Callable[[Any, Mapping[str, Input], Parent], str]
    folder: str


@dataclass(frozen=True)
class StageContext:
    """One output commit's work as a stage sees it.

    Attributes:
        client: the connection.
        commit: the output commit.
        inputs: repo -> the input commit.
        parameters: an instance of the stage's own parameters type.
        plan: which datums are to be computed; None for a stage whose output is made as a whole.
        scratch: an empty folder of this attempt, deleted afterwards.
        keep: a folder that the next attempt at equal work finds again.
        progress: called as ``progress(done, total, note)``.
        policy: see `Resolved.policy`.
        pinned: whether the commit set has its own hyperparameters.
        save: stores the present content of `keep` where the next attempt finds it on any machine; for one thread at a
            time. Takes as long as the transfer, raises nothing, and does nothing if `keep` outlives the attempt.
        fingerprint: of the output commit, under which other processes find the unfinished work.
        run: id of the run that has the claim.
        check: raises LostClaimError if another attempt has taken the output commit over.
        waits: called with what the work waits for outside Pachyderm, for `pix2pix status`; empty text for nothing.
        pause: waits for the given number of seconds, and notices SIGTERM.
        start: what the work begins with.
    """

    client: Connection
    commit: Commit
    inputs: Mapping[str, Input]
    parameters: Any
    plan: Plan | None
    scratch: Path
    keep: Path
    progress: Callable[[int, int, str], None]
    policy: Any = None
    pinned: bool = False
    save: Callable[[], None] = lambda: None
    fingerprint: str = ""
    run: str = ""
    check: Callable[[], None] = lambda: None
    waits: Callable[[str], None] = lambda text: None  # noqa: ARG005
    pause: Callable[[float], None] = time.sleep
    start: Beginning = field(default_factory=Beginning)


@dataclass(frozen=True)
class StageOutput:
    """What a stage's work produced.

    Attributes:
        files: absolute output path -> local file.
        rejected: inputs that gave no output.
        metrics: name -> figure, for the record and the Kubeflow UI.
        report: self-contained HTML for people; empty for the stage's plain page.
        notes: sentences for the report, for example that a training was resumed.
        warnings: sentences about results that are probably unintended, with the remedy; `pix2pix status` shows them.
        check: probable faults of the inputs, for the record; None if they were not checked.
        held_out: input paths that were measured on and not learnt from; None if nothing was learnt.
        began_anew: whether the work turned out not to begin with its parent; a note states why.
    """

    files: Mapping[str, Path]
    rejected: tuple[Rejected, ...] = ()
    metrics: Mapping[str, float] = field(default_factory=dict)
    report: str = ""
    notes: tuple[str, ...] = ()
    warnings: tuple[str, ...] = ()
    check: InputCheck | None = None
    held_out: tuple[str, ...] | None = None
    began_anew: bool = False


@dataclass(frozen=True)
class Judgement:
    """What the gate found about a model before its commit ends.

    Attributes:
        decision: whether it is promoted.
        pictures: path below ``/_report/`` -> local file, of pictures that the decision can be understood by.
    """

    decision: GateDecision
    pictures: Mapping[str, Path] = field(default_factory=dict)


class FanOut(Protocol):
    """Distribution of the datums of an output commit over several tasks."""

    def divide(self, context: StageContext, fingerprint: Fingerprint, claim: int) -> Plan | None:
        """Add what other tasks have computed to the plan, or hand the plan out to other tasks.

        Args:
            context: the work, with its plan.
            fingerprint: of the output commit.
            claim: number of the claim that the work is done under.

        Returns:
            the plan of what is left to compute here; None if the work was handed out, and the claim with it.
        """

    def forget(self, client: Connection) -> None:
        """Delete what was kept for the output commit, once that is finished."""


Judge = Callable[[StageContext, Commit, Mapping[str, FileContent]], Judgement]
"""(the work, head of `model@master`, output path -> content) -> the decision whether the output is promoted."""


@dataclass(frozen=True)
class Stage:
    """A stage with its code.

    Attributes:
        spec: name, output branch and inputs.
        code: returns the digest of the source files that shape the output.
        versions: returns package -> version, of the libraries that shape the output.
        resolve: (text of the parameters file or None, the commit set's own hyperparameters, the file's name for error
            messages) -> parameters. Raises PermanentError if they are invalid.
        work: computes the output. Raises PermanentError if no retry can succeed.
        awaited: returns what a commit without anything to work on waits for, or None if there is work.
        page: (record, output path -> local file, for files that are local) -> HTML report for people.
        assign: names the outputs; required if the spec is `per_file`.
        judge: decides about the promotion of the output; None if the output is not a model.
        batch: returns how many consecutive datums are computed together; shards hold a multiple of it, so that they
            compute the same batches as one process.
        effort: (parameter -> value, number of input files) -> a figure that the duration is proportional to, or 0 if it
            cannot be known; None if the duration depends on neither. `pix2pix plan` scales earlier durations by it.
        choose: returns the values of what the parameters leave to a time budget, by the inputs and the speed of this
            machine; its context has the values that were set as parameters. Raises PermanentError if the budget is too
            small; None if no parameter of the stage is a budget.
        delegates: whether `work` leaves the computation to other processes, which save the unfinished work themselves;
            the attempt then neither fetches nor saves it, and deletes it once the commit is filled.
        continuation: how it begins with an earlier output; None if it never does.
    """

    spec: StageSpec
    code: Callable[[], str]
    versions: Callable[[], Mapping[str, str]]
    resolve: Callable[[str | None, Mapping[str, Any], str], Resolved]
    work: Callable[[StageContext], StageOutput]
    awaited: Callable[[Mapping[str, Input]], str | None]
    page: Callable[[StageRecord, Mapping[str, Path]], str]
    assign: Assign | None = None
    judge: Judge | None = None
    batch: Callable[[Any], int] = lambda parameters: 1  # noqa: ARG005
    effort: Callable[[Mapping[str, Any], int], float] | None = None
    choose: Callable[[StageContext], Mapping[str, Any]] | None = None
    delegates: bool = False
    continuation: Continuation | None = None

    @property
    def name(self) -> str:
        """The stage's name."""
        return self.spec.name

    @property
    def output(self) -> BranchName:
        """The branch whose output commits the stage fills."""
        return self.spec.output

    @property
    def datums(self) -> str | None:
        """The input repo each of whose files becomes one output file; None if the output is made as a whole."""
        return self.spec.inputs[0].repo if self.spec.per_file else None
