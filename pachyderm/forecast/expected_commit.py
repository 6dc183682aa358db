"""An output commit that is not filled yet, as it is expected to be."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace

from pachyderm.client.commits import Commit
from pachyderm.client.files import FileEntry, Listing
from pachyderm.output.ancestor import Ancestor
from pachyderm.output.derivation import Derivation
from pachyderm.output.plan import Plan
from pachyderm.output.result import Execution, Result, carried_over, empty, reused
from pachyderm.output.reuse import Earlier, Filling
from pachyderm.output.stage import Stage
from pachyderm.record.fingerprints import digest
from pachyderm.record.stage_record import OutputFile, StageRecord


@dataclass(frozen=True)
class ExpectedCommit:
    """An output commit as its stage would leave it.

    Attributes:
        commit: the commit, or what it would be.
        files: its listing; a file that is computed has a hash that stands for what it is made from.
        record: the record that its stage would write.
        derivation: what its content is a function of.
    """

    commit: Commit
    files: Listing
    record: StageRecord
    derivation: Derivation

    def as_ancestor(self, datums: str) -> Ancestor:
        """Return the commit as the ancestor of a later one; `datums` is the input repo whose files are datums."""
        source = self.derivation.inputs[datums]
        return Ancestor(self.commit, self.record, self.files, source.commit.id, source.files)

    def as_earlier(self) -> Earlier:
        """Return the commit as one that is copied whole."""
        return Earlier(self.commit, self.files, self.record)


def expected_commit(
    stage: Stage, commit: Commit, derivation: Derivation, filling: Filling, bytes_per_file: float
) -> ExpectedCommit:
    """Return what a stage would make of a commit.

    Args:
        stage: the stage that fills it.
        commit: the output commit.
        derivation: what its content is a function of.
        filling: how it is filled.
        bytes_per_file: assumed size of a computed file.
    """
    if filling.awaited is not None:
        result = empty(filling.awaited)
    elif filling.earlier is not None:
        result = reused(filling.earlier)
    else:
        result = _worked(stage, commit, derivation, filling.plan, int(bytes_per_file))
    record = result.record(stage, commit, derivation, Execution({}, 0.0, 0.0, {}))
    files = {path: FileEntry(output.bytes, output.hash) for path, output in result.files.items()}
    return ExpectedCommit(commit, files, record, derivation)


def _worked(stage: Stage, commit: Commit, derivation: Derivation, plan: Plan | None, size: int) -> Result:
    if plan is None:
        whole = OutputFile(size, "", f"expected:{derivation.fingerprint.value}", None, None, None, commit.id)
        return Result("computed", files={"/expected": whole}, computed=1)
    others = {name: part for name, part in derivation.fingerprint.parts.items() if name != f"inputs.{stage.datums}"}
    sources: Mapping[str, FileEntry] = derivation.inputs[stage.datums or ""].files
    files = carried_over(plan)
    for path, output in plan.compute.items():
        source = sources[path]
        made_from = f"expected:{digest([others, source.hash])}"
        files[output] = OutputFile(size, "", made_from, path, source.hash, source.bytes, commit.id)
    rejected = tuple(replace(entry, bytes=sources[entry.path].bytes) for entry in plan.rejected)
    return Result("computed", files=files, computed=len(plan.compute), rejected=rejected, base=plan.base)
