"""What the trigger asks of whatever runs pipelines, and what it is told about a run.

It exists so that one trigger serves a laptop and a cluster: `workflows.runners.local` and `workflows.runners.kubeflow`
are the two answers to this protocol.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from enum import StrEnum
from typing import Protocol


class Phase(StrEnum):
    """How far a run is, or how it ended."""

    RUNNING = "running"
    """Created and not over: waiting, starting or working."""
    SUCCEEDED = "succeeded"
    FAILED = "failed"
    TERMINATED = "terminated"
    """A person ended it; it is not tried again."""
    INTERRUPTED = "interrupted"
    """It was stopped from outside: with its trigger, its machine or its pod. The work reported no error."""
    VANISHED = "vanished"
    """It had begun, and its process is gone without a report: an interruption, too."""


_NAME = re.compile(r"(?P<pipeline>\S+) (?P<commit_set>[0-9a-f]{32}) (?P<attempt>[1-9][0-9]*)")


@dataclass(frozen=True, order=True)
class RunKey:
    """What tells one run of the trigger from every other.

    Attributes:
        pipeline: name of the pipeline.
        commit_set: id of the commit set that it fills, 32 hex digits.
        attempt: 1 for the first run of the set, then 2, ...
    """

    pipeline: str
    commit_set: str
    attempt: int

    @property
    def display_name(self) -> str:
        """``<pipeline> <set id> <attempt>``: the name under which a run is looked for before one is created."""
        return f"{self.pipeline} {self.commit_set} {self.attempt}"

    @classmethod
    def parse(cls, display_name: str) -> RunKey | None:
        """Read a display name back; None for a run that no trigger started."""
        match = _NAME.fullmatch(display_name)
        return cls(match["pipeline"], match["commit_set"], int(match["attempt"])) if match else None


@dataclass(frozen=True)
class RunState:
    """A run as its runner sees it.

    Attributes:
        run: the run's id, unique on its runner; also the holder that its claims name.
        key: what it was started for, or None for a run that no trigger started.
        phase: how far it is.
        error: why it did not succeed, one line; empty otherwise.
        started: seconds since 1970.
        ended: seconds since 1970, or None while it runs.
        ending: whether it was told to end, and has not ended yet.
        link: where a person sees more: a URL, or the path of its log.
        outputs: task -> output -> value, of a run that succeeded, where the runner knows them.
        certain: of a run that failed: whether the runner knows that the work failed. Otherwise it knows only that the
            run ended without success, and the claims of the run show whether its work reported an error or was killed.
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
        """Whether nothing of it works any more."""
        return self.phase is not Phase.RUNNING


class Runner(Protocol):
    """Starts runs and tells about them. Calls that do not reach it raise `RunnerUnreachableError`."""

    name: str
    """``local`` or ``kubeflow``."""

    one_creator: bool
    """Whether two creations of one key at once make one run: then no start needs a grace time."""

    def place(self) -> str:
        """Where its runs are: host and folder, or cluster. Runners of another place do not see them.

        Raises:
            RunInputError: the cluster refuses what the runs need there.
            UnclearAnswerError: that was not clear.
        """

    def start(self, key: RunKey, arguments: Mapping[str, str]) -> RunState:
        """Create the run of a key, or return the one that is there; looks first, and after any unclear answer.

        Raises:
            RunInputError: no such pipeline, or arguments that it does not take.
            UnclearAnswerError: it may or may not have been created.
        """

    def find(self, key: RunKey) -> tuple[RunState, ...]:
        """The runs of a key, oldest first; more than one only where creators raced."""

    def state(self, run: str) -> RunState | None:
        """One run by id; None for a run that this runner does not know."""

    def live(self) -> tuple[RunState, ...]:
        """The trigger's runs that are not over."""

    def terminate(self, run: str, why: str) -> None:
        """End a run; nothing happens where it is over or unknown."""

    def poll(self) -> bool:
        """Do what must be done often (show log lines, see children end); True where a run has ended since."""

    def close(self) -> tuple[RunState, ...]:
        """End what must not outlive the trigger, and return it."""
