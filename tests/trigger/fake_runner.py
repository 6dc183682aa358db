"""A runner whose runs are controlled by the test: they work, fail, hang, vanish, appear late or appear twice."""

from __future__ import annotations

import itertools
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace

from fake_pachyderm import FakePachyderm

from pachyderm.client.commits import inspect
from pachyderm.dag.repos import PIPELINES
from pachyderm.queue.claims import end_of, give_back, live_claim, take
from workflows.errors import RunnerUnreachableError, UnclearAnswerError
from workflows.runners.runner import Phase, RunKey, RunState


@dataclass
class Run:
    state: RunState
    stage: int = 0
    claim: tuple[str, int] | None = None
    """(repo, number) of the claim that it holds."""


class FakeRunner:
    name = "fake"

    def __init__(
        self, pachyderm: FakePachyderm, now: Callable[[], float], atomic_start: bool, where: str = "here"
    ) -> None:
        self.atomic_start = atomic_start
        self.where = where
        self._pachyderm = pachyderm
        self._now = now
        self._numbers = itertools.count(1)
        self.runs: dict[str, Run] = {}
        self.created: list[RunKey] = []
        self.late: list[RunKey] = []
        self.ended_by_trigger: list[str] = []
        self.says_ending = True
        self.answers: list[str] = []
        """The outcomes of the next calls of `start`: ``late``, ``lost``, ``twice``, ``away``; empty: success."""
        self.at_start: Callable[[RunKey], None] = lambda key: None

    def location(self) -> str:
        return self.where

    def _create(self, key: RunKey) -> Run:
        self.created.append(key)
        run = f"run-{'' if self.where == 'here' else f'{self.where}-'}{next(self._numbers):04d}"
        self.runs[run] = Run(RunState(run, key, Phase.RUNNING, started=self._now()))
        return self.runs[run]

    def start(self, key: RunKey, arguments: Mapping[str, str]) -> RunState:
        before = self.find(key)
        if before:
            return before[0]
        self.at_start(key)
        answer = self.answers.pop(0) if self.answers else ""
        if answer == "away":
            raise RunnerUnreachableError("away")
        if answer == "late":
            self.late.append(key)
            raise UnclearAnswerError("no answer")
        run = self._create(key)
        if answer == "twice":
            self._create(key)
        if answer == "lost":
            raise UnclearAnswerError("no answer")
        return run.state

    def arrive(self) -> None:
        """Let a create take effect whose answer was lost."""
        self._create(self.late.pop(0))

    def find(self, key: RunKey) -> tuple[RunState, ...]:
        return tuple(run.state for run in self.runs.values() if run.state.key == key)

    def state(self, run: str) -> RunState | None:
        return self.runs[run].state if run in self.runs else None

    def live(self) -> tuple[RunState, ...]:
        return tuple(run.state for run in self.runs.values() if not run.state.over)

    def terminate(self, run: str, why: str) -> None:
        if run in self.runs and not self.runs[run].state.over:
            self.ended_by_trigger.append(run)
            self.runs[run].state = replace(self.runs[run].state, ending=self.says_ending)

    def poll(self) -> bool:
        return False

    def close(self) -> tuple[RunState, ...]:
        return ()

    # Events of runs.
    def end(self, run: str, phase: Phase, error: str = "") -> None:
        self.runs[run].state = replace(self.runs[run].state, phase=phase, error=error, ended=self._now())

    def forget(self, run: str) -> None:
        del self.runs[run]

    def fail(self, run: str, gives_back: bool) -> None:
        """Fail the run's stage; it gives its claim back or has no time to."""
        claim = self.runs[run].claim
        key = self.runs[run].state.key
        assert key is not None
        if gives_back and claim is not None and (claim[0], key.commit_set) in self._pachyderm.rows:
            commit = inspect(self._pachyderm, claim[0], key.commit_set)
            give_back(self._pachyderm, commit, claim[1], end_of(ValueError("no luck")))
        self.end(run, Phase.FAILED, "ValueError: no luck")

    def kill(self, run: str) -> None:
        """Kill the run's task; the runner only learns that the run failed."""
        self.end(run, Phase.FAILED, "a task failed, no cause is known")
        self.runs[run].state = replace(self.runs[run].state, certain=False)

    def advance(self, run: str) -> None:
        """Advance the run by one step: claim its next commit, or finish the claimed one."""
        record = self.runs[run]
        key = record.state.key
        assert key is not None
        if run in self.ended_by_trigger:
            self.end(run, Phase.TERMINATED, "by the trigger")
            return
        outputs = next(pipeline.outputs for pipeline in PIPELINES if pipeline.name == key.pipeline)
        if record.stage == len(outputs):
            self.end(run, Phase.SUCCEEDED)
            return
        row = self._pachyderm.rows.get((outputs[record.stage].repo, key.commit_set))
        if row is None:
            record.stage += 1
            return
        if not row.open:
            if row.error:
                self.end(run, Phase.FAILED, row.error)
            record.stage, record.claim = record.stage + 1, None
            return
        commit = inspect(self._pachyderm, row.repo, row.id)
        if record.claim is None:
            if (
                all(self._pachyderm.rows[source].finished for source in row.provenance)
                and live_claim(row.metadata) is None
            ):
                claim = take(self._pachyderm, commit, run, "a")
                record.claim = (row.repo, claim.number) if claim else None
            return
        for older in self._pachyderm.older_than(row):
            if not older.finished:
                return  # A stage waits for it.
            if not older.error:
                break
        if f"over.{record.claim[1]}" in row.metadata:
            # Another attempt took over, or the trigger considered this one dead: it waits, or claims again.
            record.claim = None
            return
        self._pachyderm.edit_keys(row.repo, row.id, add={f"over.{record.claim[1]}": "good"})
        self._pachyderm.pfs.finish_commit(commit=self._pachyderm.commit(row.repo, row.id))
        record.stage, record.claim = record.stage + 1, None
