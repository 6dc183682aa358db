"""The forecast that `plan` and `status` show."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from functools import partial
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from pachyderm.client.branches import BranchName
    from pachyderm.client.changes import PutChanges
    from pachyderm.client.commits import CommitId
    from pachyderm.client.connection import Connection
    from pachyderm.dag.repos import Pipeline, SupersessionPolicy
    from pachyderm.forecast.stage_forecast import Forecast


def expected(client: Connection, branch: BranchName | None = None, changes: PutChanges | None = None) -> Forecast:
    """Return the forecast of the open commits, and of changes to a branch."""
    from components.registry import stage
    from pachyderm.forecast.outlook import forecast
    from pachyderm.forecast.proposal import proposed

    commit = proposed(client, branch, changes) if branch is not None and changes is not None else None
    return forecast(client, stage, commit, partial(_policy, client))


def _policy(client: Connection, pipeline: Pipeline, source: CommitId | None) -> SupersessionPolicy:
    """Return the supersession policy that the trigger applies to an open commit."""
    from pachyderm.client.files import PARAMETERS_FILE, read
    from workflows.errors import RunInputError
    from workflows.settings.policy import Policy, of_parameters_file

    text = read(client, source.repo, source.id, PARAMETERS_FILE) if source is not None else None
    try:
        content = "" if text is None else text.decode(errors="replace")
        return of_parameters_file(Policy(policy=pipeline.policy), content, PARAMETERS_FILE).policy
    except RunInputError:
        return pipeline.policy


def summary(stages: Iterable[Mapping[str, Any]], seconds: float | None) -> str:
    """Return a forecast on one line, e.g. ``resize 1 of 1000 files, generate 1 of 1000 files; about 8 s``.

    Args:
        stages: `StageForecast`s as mappings.
        seconds: their expected duration; None if it is unknown.
    """
    amounts: dict[str, list[str]] = {}
    for row in stages:
        if not row["condition"] and not row["note"]:
            amounts.setdefault(row["stage"], []).append(amount(row))
    parts = [
        f"{stage} {shown[0]}" if len(shown) == 1 else f"{stage} {len(shown)} commits"
        for stage, shown in amounts.items()
    ]
    return f"{', '.join(parts)}; {about(seconds)}" if parts else ""


def amount(row: Mapping[str, Any]) -> str:
    """Return what a stage computes, in words."""
    if row["stage"] in ("train", "export"):
        return "everything" if row["compute"] else "nothing"
    return f"{row['compute']} of {row['compute'] + row['carry'] + row['reuse']} files"


def about(seconds: float | None) -> str:
    """Return an expected duration in words."""
    from pachyderm.queue.blockers import duration

    return "unknown (no earlier run)" if seconds is None else f"about {duration(seconds + 0.5)}"
