"""A forecast as plain frozen data."""

from __future__ import annotations

from dataclasses import dataclass

from pachyderm.client.branches import BranchName
from pachyderm.client.files import Listing


@dataclass(frozen=True)
class StageForecast:
    """What one stage will do for one output commit.

    Attributes:
        stage: name of the stage.
        commit: id of the open commit; None if it does not exist yet.
        compute: number of files to compute; 1 for an output that is made as a whole.
        carry: number of files to carry over from an earlier commit.
        reuse: number of files of an earlier commit that is copied whole; 1 for an output that is made as a whole.
        seconds: expected duration, from earlier runs; None if no earlier run is comparable.
        bytes: expected size of the computed files, likewise.
        condition: what has to happen first, if that is uncertain; else empty.
        note: why nothing is made, e.g. an input that is missing or parameters that are invalid; else empty.
    """

    stage: str
    commit: str | None
    compute: int = 0
    carry: int = 0
    reuse: int = 0
    seconds: float | None = 0.0
    bytes: int | None = 0
    condition: str = ""
    note: str = ""


@dataclass(frozen=True)
class Forecast:
    """What all open commits, and a proposed one, will cause.

    Attributes:
        stages: upstream first, for each stage the oldest commit first; then what depends on a condition.
        seconds: the sum over the stages without a condition; None if one of them is unknown.
    """

    stages: tuple[StageForecast, ...]
    seconds: float | None


@dataclass(frozen=True)
class ProposedCommit:
    """A commit of an input branch that does not exist yet.

    Attributes:
        branch: the input branch.
        files: the listing that it would have, without report and parameters file.
        parameters: its parameters file; None without one.
    """

    branch: BranchName
    files: Listing
    parameters: bytes | None
