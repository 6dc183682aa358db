"""Durations and sizes of earlier runs, and what they let expect of the next one."""

from __future__ import annotations

from collections.abc import Sequence
from functools import cache
from statistics import fmean

from pachyderm.client.commits import all_commits
from pachyderm.client.connection import Connection
from pachyderm.forecast.run_figures import RunFigures, read_figures
from pachyderm.output.derivation import Derivation
from pachyderm.output.stage import Stage
from pachyderm.record.quarantine import is_quarantined

LOOK_BACK = 20
"""How many commits of a repo are searched for records, newest first."""

RECORDS = 5
"""How many records with computed files are read at most: that of a large commit is large."""


class EarlierRuns:
    """Reads the newest records of each stage once.

    Args:
        client: the connection.
    """

    def __init__(self, client: Connection) -> None:
        self._client = client
        self._records = cache(self._read)

    def seconds(self, stage: Stage, compute: int, derivation: Derivation) -> float | None:
        """Return the expected duration of a stage: what its parameters ask for, or by earlier runs; None if unknown."""
        records = self._records(stage.output.repo)
        computed = [record for record in records if record.counts.computed]
        if not compute:
            idle = [max(0.0, record.seconds) for record in records if not record.counts.computed]
            return fmean(idle) if idle else 0.0
        if derivation.resolved.seconds is not None:
            return derivation.resolved.seconds
        if not computed:
            return None
        if stage.datums is None:
            return _of_whole(stage, computed[0], derivation)
        return on_line([(record.counts.computed, max(0.0, record.seconds)) for record in computed], compute)

    def bytes_per_file(self, stage: Stage) -> float | None:
        """Return the mean size of an output file of the newest run with one; of a whole output, that of all files."""
        record = next((entry for entry in self._records(stage.output.repo) if entry.files), None)
        if record is None:
            return None
        total = sum(output.bytes for output in record.files.values())
        return total if stage.datums is None else total / len(record.files)

    def _read(self, repo: str) -> tuple[RunFigures, ...]:
        records: list[RunFigures] = []
        for commit in all_commits(self._client, repo, number=LOOK_BACK):
            if commit.state != "good" or is_quarantined(commit):
                continue
            record = read_figures(self._client, repo, commit.id)
            if record is not None:
                records.append(record)
            if sum(bool(entry.counts.computed) for entry in records) == RECORDS:
                break
        return tuple(records)


def _of_whole(stage: Stage, record: RunFigures, derivation: Derivation) -> float | None:
    """Scale the duration of an earlier run by the effort of both; without a figure for it, only equal ones compare."""
    seconds = max(0.0, record.seconds)
    if stage.effort is not None:
        inputs = sum(len(entry.files) for entry in derivation.inputs.values())
        before = stage.effort({name: entry.value for name, entry in record.parameters.items()}, record.counts.inputs)
        now = stage.effort({name: entry.value for name, entry in derivation.resolved.parameters.items()}, inputs)
        if before and now:
            return seconds * now / before
    return seconds if record.parts.get("parameters") == derivation.fingerprint.parts["parameters"] else None


def on_line(points: Sequence[tuple[int, float]], number: int) -> float:
    """Return the value at `number` of the least-squares line through points, with neither part below 0."""
    counts, values = [float(count) for count, _ in points], [value for _, value in points]
    middle, level = fmean(counts), fmean(values)
    spread = sum((count - middle) ** 2 for count in counts)
    if not spread:
        return level * number / middle
    slope = sum((count - middle) * (value - level) for count, value in zip(counts, values, strict=True)) / spread
    slope = max(0.0, slope)
    start = level - slope * middle
    if start < 0:
        start, slope = 0.0, sum(map(float.__mul__, counts, values)) / sum(count * count for count in counts)
    return start + slope * number
