"""The forecast: every open output commit, and those that a proposed commit would open, in the order of the runs."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence

from pachyderm.client.branches import BranchName
from pachyderm.client.commits import Commit, CommitId, head, inspect
from pachyderm.client.connection import Connection
from pachyderm.client.files import PARAMETERS_FILE, Listing, read
from pachyderm.dag.repos import (
    EXPORT,
    GENERATE,
    MODEL,
    PIPELINES,
    Pipeline,
    StageSpec,
    SupersessionPolicy,
    pipeline_of,
    stage_of,
)
from pachyderm.errors import PermanentError, RequestError
from pachyderm.forecast.earlier_runs import EarlierRuns
from pachyderm.forecast.expected_commit import ExpectedCommit, expected_commit
from pachyderm.forecast.stage_forecast import Forecast, ProposedCommit, StageForecast
from pachyderm.output.ancestor import Ancestor, datums_of, nearest_good
from pachyderm.output.derivation import Derivation, derivation_of
from pachyderm.output.reuse import Filling, filling_of
from pachyderm.output.settlement import settled
from pachyderm.output.stage import Input, Stage
from pachyderm.queue.claims import live_claim
from pachyderm.queue.commit_sets import own_parameters_in
from pachyderm.queue.open_commits import OpenCommit, OpenCommits
from pachyderm.queue.source_commit import source_of
from pachyderm.record.fingerprints import listing_digest
from pachyderm.record.parent import Parent

Policies = Callable[[Pipeline, CommitId | None], SupersessionPolicy]
"""(pipeline, the input commit that an open commit goes back to) -> supersession policy."""

PROPOSED = "proposed"
"""Stands for the id of a commit that does not exist yet."""

IF_PROMOTED = "the new model is promoted"


def forecast(
    client: Connection,
    stage: Callable[[str], Stage],
    proposed: ProposedCommit | None = None,
    policies: Policies = lambda pipeline, _: pipeline.policy,
) -> Forecast:
    """Return what the open commits, and a proposed one, will cause; nothing is written.

    The decisions are those of the stages themselves. What a file that is yet to be computed will hold is unknown: a
    stage downstream is assumed to work on it, although equal content would be carried over.

    Args:
        client: the connection; the repos are set up.
        stage: from a stage's name to the stage.
        proposed: a commit about to be made on an input branch.
        policies: the supersession policy of an open commit.
    """
    outlook = Outlook(client, stage)
    for entry in _remaining(OpenCommits(client).scan(), policies, proposed):
        outlook.add(entry.branch, entry.commit, [CommitId(source.repo, source.id) for source in entry.inputs])
    if proposed is not None:
        outlook.propose(proposed)
    outlook.promote()
    rows = outlook.rows
    known = [row.seconds for row in rows if not row.condition]
    total = None if None in known else sum(seconds for seconds in known if seconds is not None)
    return Forecast(tuple(rows), total)


def _remaining(
    entries: Sequence[OpenCommit], policies: Policies, proposed: ProposedCommit | None
) -> Iterable[OpenCommit]:
    """Leave out the open commits that are being checked, or that a newer commit set supersedes before they are run."""
    covered = {pipeline.name for pipeline in PIPELINES if proposed is not None and pipeline.source == proposed.branch}
    newest: dict[BranchName, int] = {}
    for number, entry in enumerate(entries):
        if entry.covers_older:
            newest[entry.branch] = number
    for number, entry in enumerate(entries):
        pipeline = pipeline_of(entry.branch)
        newer = pipeline.name in covered or number < newest.get(entry.branch, -1)
        kept = entry.pinned or live_claim(entry.commit.metadata) is not None
        superseded = newer and not kept and policies(pipeline, entry.source) == "latest"
        if entry.commit.state == "open" and not superseded:
            yield entry


class Outlook:
    """Expects one output commit after the other, upstream and older ones first.

    Args:
        client: the connection.
        stage: from a stage's name to the stage.

    Attributes:
        rows: a row for each commit so far.
    """

    def __init__(self, client: Connection, stage: Callable[[str], Stage]) -> None:
        self._client, self._stage = client, stage
        self._runs = EarlierRuns(client)
        self._expected: dict[CommitId, ExpectedCommit | None] = {}
        self._newest: dict[BranchName, Commit] = {}
        self._listed: dict[CommitId, Listing] = {}
        self._proposed: ProposedCommit | None = None
        self.rows: list[StageForecast] = []

    def add(self, branch: BranchName, commit: Commit, inputs: Sequence[CommitId], condition: str = "") -> None:
        """Expect an output commit of a branch that is made from these inputs."""
        key = CommitId(commit.repo, commit.id)
        stage = self._stage(stage_of(branch.repo).name)
        shown = None if commit.id.startswith(PROPOSED) else commit.id
        try:
            expected, filling = self._expect(stage, commit, inputs)
        except (PermanentError, RequestError) as error:
            self._expected[key] = None
            self.rows.append(StageForecast(stage.name, shown, condition=condition, note=str(error)))
            return
        self._expected[key], self._newest[branch] = expected, commit
        self.rows.append(self._row(stage, shown, expected, filling, condition))

    def propose(self, proposed: ProposedCommit) -> None:
        """Expect the output commits that a proposed commit opens."""
        self._proposed = proposed
        pipeline = next((entry for entry in PIPELINES if entry.source == proposed.branch), None)
        for spec in pipeline.stages if pipeline else ():
            self._open(spec, {proposed.branch: CommitId(proposed.branch.repo, PROPOSED)})

    def promote(self) -> None:
        """Expect the commit that the promotion of the newest expected model opens."""
        model = self._newest.get(EXPORT.output)
        expected = self._expected.get(CommitId(model.repo, model.id)) if model is not None else None
        if model is not None and expected is not None and expected.files:
            self._open(GENERATE, {MODEL: CommitId(model.repo, model.id)}, IF_PROMOTED)

    def _open(self, spec: StageSpec, given: Mapping[BranchName, CommitId], condition: str = "") -> None:
        repo, parent = spec.output.repo, self._head(spec.output)
        name = f"{PROPOSED} next" if CommitId(repo, PROPOSED) in self._expected else PROPOSED
        commit = Commit(repo, name, parent.id, 0.0, None, None, "", auto=True)
        sources = {branch: given.get(branch) or self._key(self._head(branch)) for branch in spec.inputs}
        self.add(spec.output, commit, list(sources.values()), condition)

    def _head(self, branch: BranchName) -> Commit:
        return self._newest.get(branch) or head(self._client, branch)

    @staticmethod
    def _key(commit: Commit) -> CommitId:
        return CommitId(commit.repo, commit.id)

    def _expect(self, stage: Stage, commit: Commit, inputs: Sequence[CommitId]) -> tuple[ExpectedCommit, Filling]:
        ancestor = self._ancestor(commit, stage.datums) if stage.datums else None
        sources = {key.repo: self._source(key) for key in inputs}
        derivation = settled(self._client, commit, self._derivation(stage, commit, sources, ancestor))
        same = self._expected_with(commit.repo, derivation.fingerprint.recipe)
        if same is not None and stage.awaited(derivation.inputs) is None:
            filling = Filling(earlier=same.as_earlier())
        else:
            filling = filling_of(self._client, stage, commit, derivation, ancestor, self._parents(stage))
        size = self._runs.bytes_per_file(stage) or 0.0
        return expected_commit(stage, commit, derivation, filling, size), filling

    def _source(self, key: CommitId) -> Commit:
        """Return an input commit.

        Raises:
            RequestError: it ended with an error, is expected to, or is still being written.
        """
        if key in self._expected:
            expected = self._expected[key]
            if expected is None:
                raise RequestError(f"its input {key} fails")
            return expected.commit
        if key.id == PROPOSED:
            parent = head(self._client, self._proposed.branch).id if self._proposed is not None else None
            return Commit(key.repo, key.id, parent, 0.0, 0.0, 0.0, "", auto=False)
        commit = inspect(self._client, key.repo, key.id)
        if commit.error:
            raise RequestError(f"its input {commit} ended with an error: {commit.error}")
        if commit.state == "open":
            raise RequestError(f"its input {commit} is still being written")
        return commit

    def _listing(self, stage: Stage, source: Commit, ancestor: Ancestor | None) -> Listing:
        expected = self._expected.get(self._key(source))
        if expected is not None:
            return expected.files
        if source.id == PROPOSED and self._proposed is not None:
            return self._proposed.files
        listed = self._listed.get(self._key(source))
        if listed is not None:
            return listed
        known = ancestor if source.repo == stage.datums else None
        if known is not None and CommitId(source.repo, known.datums) in self._expected:
            known = None
        return datums_of(self._client, source.repo, source.id, known)

    def _derivation(
        self, stage: Stage, commit: Commit, sources: Mapping[str, Commit], ancestor: Ancestor | None
    ) -> Derivation:
        listings = {repo: self._listing(stage, source, ancestor) for repo, source in sources.items()}
        inputs = {
            repo: Input(source, listings[repo], listing_digest(listings[repo])) for repo, source in sources.items()
        }
        data = sources[stage.spec.inputs[0].repo]
        if self._proposed is not None and data.id == PROPOSED:
            origin = f"{self._proposed.branch}, as proposed"
            return derivation_of(stage, inputs, origin, self._proposed.parameters, {})
        source = source_of(self._client, data)
        text = read(self._client, source.repo, source.id, PARAMETERS_FILE)
        return derivation_of(stage, inputs, str(source), text, own_parameters_in(source, commit.id))

    def _ancestor(self, commit: Commit, datums: str) -> Ancestor | None:
        """Return the nearest ancestor that is good, or expected to be."""
        while commit.parent is not None and CommitId(commit.repo, commit.parent) in self._expected:
            expected = self._expected[CommitId(commit.repo, commit.parent)]
            if expected is not None:
                return expected.as_ancestor(datums)
            commit = inspect(self._client, commit.repo, commit.parent)
        ancestor = nearest_good(self._client, commit, datums)
        if ancestor is not None:
            self._listed[self._key(ancestor.commit)] = ancestor.files
        return ancestor

    def _parents(self, stage: Stage) -> dict[CommitId, Parent]:
        """Return the expected outputs of a stage, as commits that later ones may begin with."""
        repo = stage.spec.inputs[0].repo
        return {
            key: Parent(entry.commit, entry.record, entry.derivation.inputs[repo].files)
            for key, entry in self._expected.items()
            if entry is not None and key.repo == stage.output.repo
        }

    def _expected_with(self, repo: str, recipe: str) -> ExpectedCommit | None:
        """Return the newest expected commit of a repo that has this recipe and files to copy."""
        found = [entry for key, entry in self._expected.items() if key.repo == repo and entry is not None]
        return next((entry for entry in reversed(found) if entry.derivation.fingerprint.recipe == recipe), None)

    def _row(
        self, stage: Stage, commit: str | None, expected: ExpectedCommit, filling: Filling, condition: str
    ) -> StageForecast:
        whole = stage.datums is None
        compute = expected.record.counts.computed
        carry = len(filling.plan.carried) if filling.plan else 0
        reuse = (1 if whole else len(expected.files)) if filling.earlier is not None else 0
        size = self._runs.bytes_per_file(stage)
        return StageForecast(
            stage=stage.name,
            commit=commit,
            compute=compute,
            carry=carry,
            reuse=reuse,
            seconds=self._runs.seconds(stage, compute, expected.derivation),
            bytes=0 if not compute else None if size is None else round(size * compute),
            condition=condition,
            note=f"waits for {filling.awaited}" if filling.awaited is not None else "",
        )
