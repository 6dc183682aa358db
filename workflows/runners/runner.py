"""The protocol of runners: what the trigger requires of a backend that executes pipelines, and the state of a run."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from enum import StrEnum
from typing import Protocol


class Phase(StrEnum):
    """The phase of a run, or how it ended."""

    RUNNING = "running"
    """Created and not over: pending, starting or working."""
    SUCCEEDED = "succeeded"
    FAILED = "failed"
    TERMINATED = "terminated"
    """Ended by a person; it is not retried."""
    INTERRUPTED = "interrupted"
    """Stopped from outside, with its trigger, machine or pod. The work reported no error."""
    VANISHED = "vanished"
    """It had begun, and its process disappeared without a report. This, too, is an interruption."""


_NAME = re.compile(r"(?P<pipeline>\S+) (?P<commit_set>[0-9a-f]{32}) (?P<attempt>[1-9][0-9]{0,8})")


@dataclass(frozen=True, order=True)
class RunKey:
    """The identity of a run that the trigger starts.

    Attributes:
        pipeline: name of the pipeline.
        commit_set: id of the commit set that it fills, 32 hex digits.
        attempt: 1 for the first run of the commit set, then 2, ...
    """

    pipeline: str
    commit_set: str
    attempt: int

    @property
    def display_name(self) -> str:
        """``<pipeline> <set id> <attempt>``: a run of this name is searched for before one is created."""
        return f"{self.pipeline} {self.commit_set} {self.attempt}"

    @classmethod
    def parse(cls, display_name: str) -> RunKey | None:
        """Parse a display name; return None for a run that no trigger started."""
        match = _NAME.fullmatch(display_name)
        return cls(match["pipeline"], match["commit_set"], int(match["attempt"])) if match else None


@dataclass(frozen=True)
class RunState:
    """A run as its runner reports it.

    Attributes:
        run: the run's id, unique on its runner, and the holder of the run's claims.
        key: its identity, or None for a run that no trigger started.
        phase: its phase.
        error: why it did not succeed, one line; empty otherwise.
        started: seconds since 1970.
        ended: seconds since 1970, or None while it runs.
        ending: whether its termination was requested and is still in progress.
        link: URL or path of the log, for people.
        outputs: task -> output -> value of a run that succeeded, if the runner knows them.
        certain: for a failed run: whether the runner knows that the work failed. If False, it knows only that the run
            ended without success, and the run's claims show whether its work reported an error or was killed.
    """

    run: str
    key: RunKey | None
    phase: Phase
    error: str = ""
    started: float = 0.0
    ended: float | None = None
    ending: bool = False
    link: str = ""
    outputs: Mapping[str, Mapping[str, str]] | None = None
    certain: bool = True

    @property
    def over(self) -> bool:
        """Whether it has ended."""
        return self.phase is not Phase.RUNNING


class Runner(Protocol):
    """Starts runs and reports their state. Calls that cannot reach the backend raise `RunnerUnreachableError`."""

    name: str
    """The name in the setting `runner`."""

    atomic_start: bool
    """Whether two concurrent starts of one key create one run; if not, the trigger waits for other starters."""

    def location(self) -> str:
        """Return where its runs are: host and folder, or cluster. Runners at another location do not see them.

        Raises:
            RunInputError: the cluster refuses a resource that the runs need.
            UnclearAnswerError: the outcome of creating that resource is unknown.
        """

    def start(self, key: RunKey, arguments: Mapping[str, str]) -> RunState:
        """Create the run of a key, or return the existing one; search first, and after any unclear answer.

        Raises:
            RunInputError: unknown pipeline, or arguments that it does not accept.
            UnclearAnswerError: it may or may not have been created.
        """

    def find(self, key: RunKey) -> tuple[RunState, ...]:
        """Return the runs of a key, oldest first; more than one only if creators raced."""

    def state(self, run: str) -> RunState | None:
        """Return a run by id; None if this runner does not know it."""

    def live(self) -> tuple[RunState, ...]:
        """Return the trigger's runs that are not over."""

    def terminate(self, run: str, why: str) -> None:
        """Request the end of a run; no effect if it is over or unknown."""

    def poll(self) -> bool:
        """Do periodic work (show log lines, collect children); return True if a run has ended since the last call."""

    def close(self) -> tuple[RunState, ...]:
        """End the runs that must not outlive the trigger, and return them."""
