"""The gate's decision about a candidate: whether it becomes the model in use."""

from __future__ import annotations

import json
import logging
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Annotated, Literal

import msgspec

from pachyderm.client.commits import Commit

logger = logging.getLogger(__name__)

GATE = "gate"
"""Metadata key of a model commit that holds the decision."""

GateOutcome = Literal["promoted", "held back", "waiting"]
"""The candidate is promoted with the end of its commit; stays a candidate; waits for a verdict."""

ModelId = Annotated[str, msgspec.Meta(pattern="^[0-9a-f]{32}$")]


@dataclass(frozen=True)
class GateDecision:
    """A decision, as the record and the metadata of a model commit hold it.

    Attributes:
        outcome: what becomes of the candidate.
        reason: why, for people, e.g. ``l1 0.091 against 0.083 on 14 pairs``.
        policy: ``promote`` of the parameters: ``always``, ``if_better``, ``review`` or ``never``.
        time: seconds since 1970.
        metric: name of the metric that decided; empty if nothing was compared.
        in_use: id of the model commit that was in use; None if none was.
        candidate_metrics: name -> mean of the candidate over the pairs; empty if it was not measured.
        in_use_metrics: the same of the model in use.
        pairs: number of held-out pairs that both were measured on.
        shared: whether the training commits of both models hold these pairs out.
        shown: paths of the pairs whose pictures the report shows.
    """

    outcome: GateOutcome
    reason: str
    policy: str
    time: Annotated[float, msgspec.Meta(ge=0, le=253402300799.0)] = 0.0
    metric: str = ""
    in_use: ModelId | None = None
    candidate_metrics: Mapping[str, float] = field(default_factory=dict)
    in_use_metrics: Mapping[str, float] = field(default_factory=dict)
    pairs: Annotated[int, msgspec.Meta(ge=0, le=2**63 - 1)] = 0
    shared: bool = False
    shown: tuple[str, ...] = ()

    def __str__(self) -> str:
        return f"{self.outcome}: {self.reason}"

    def to_json(self) -> str:
        """Return the value of the metadata key."""
        return json.dumps(vars(self))

    def figures(self) -> dict[str, float]:
        """Return the figures for a metrics artifact: name -> value, all finite."""
        return {
            "promoted": float(self.outcome == "promoted"),
            **{f"candidate_{name}": value for name, value in self.candidate_metrics.items()},
            **{f"in_use_{name}": value for name, value in self.in_use_metrics.items()},
            **({"compared_pairs": float(self.pairs)} if self.pairs else {}),
        }


_decode = msgspec.json.Decoder(GateDecision).decode


def gate_decision_of(commit: Commit) -> GateDecision | None:
    """Return the decision in the metadata of a model commit; None if there is none, or none that can be read."""
    value = commit.metadata.get(GATE)
    if value is None:
        return None
    try:
        return _decode(value)
    except (msgspec.MsgspecError, UnicodeEncodeError, RecursionError):
        logger.warning("%s: ignoring malformed metadata %s=%r", commit, GATE, value[:200])
        return None
