"""A store that is set up, and stages whose work is one line, so that the protocol around it is what is tested."""

from __future__ import annotations

import itertools
import os
import uuid
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest
from pachyderm_sdk.api import pfs

from components.pictures import assign
from pachyderm.client.branches import BranchName
from pachyderm.client.commits import Commit, head, inspect
from pachyderm.client.connection import Connection, Target, connect
from pachyderm.client.files import content, files, read
from pachyderm.client.upload import put
from pachyderm.dag.repos import EXPORT, GENERATE, RESIZE, TRAIN, StageSpec, stage_of
from pachyderm.dag.setup import set_up
from pachyderm.output.output_commit import fill_set
from pachyderm.output.stage import Input, Resolved, Stage, StageContext, StageOutput
from pachyderm.output.worker import Worker
from pachyderm.record.stage_record import RecordedParameter, Rejected, StageRecord, read_record


@dataclass
class House:
    """A Pachyderm that is set up, and what the stages did.

    Attributes:
        worked: (stage, datums that were work) of each call of a stage's work.
        fail: called in each work with the stage's name; raises where a test wants so.
    """

    client: Connection
    target: Target
    folder: Path
    worked: list[tuple[str, tuple[str, ...]]] = field(default_factory=list)
    fail: Callable[[str], None] = lambda name: None
    versions: dict[str, str] = field(default_factory=lambda: {"pillow": "13"})
    code: str = "code"

    def put(self, branch: BranchName, files: Mapping[str, str], mirror: bool = False) -> str:
        """Commit files; the set's id."""
        folder = self.folder / uuid.uuid4().hex
        folder.mkdir()
        sources = {}
        for number, (path, text) in enumerate(files.items()):
            sources[path] = folder / str(number)
            sources[path].write_text(text)
        done = put(self.client, branch, sources, mirror_under="/" if mirror else None)
        assert done.commit is not None
        return done.commit

    def attempt(self, run: str = "run", client: Connection | None = None) -> Worker:
        scratch = self.folder / "scratch"
        scratch.mkdir(exist_ok=True)
        clock = itertools.count(0.0, 1.0)
        return Worker(
            run,
            uuid.uuid4().hex[:6],
            scratch,
            lambda done, total, note: None,
            clock=lambda: next(clock),
            pause=lambda seconds: None,
        )

    def fill(self, stage: str, commit_set: str = "", run: str = "run", **own: Mapping[str, object]) -> Commit:
        """Run one stage."""
        return fill_set(self.client, self.stages()[stage], commit_set, own, self.attempt(run))[0]

    def run(self, *stages: str, commit_set: str = "") -> None:
        for stage in stages:
            self.fill(stage, commit_set)

    def content(self, commit: Commit) -> dict[str, str]:
        """Path -> text of a commit's files, without its report."""
        return {
            path: (read(self.client, commit.repo, commit.id, path) or b"").decode()
            for path in content(files(self.client, commit.repo, commit.id))
        }

    def record(self, commit: Commit) -> StageRecord:
        record = read_record(self.client, commit.repo, commit.id)
        assert record is not None
        return record

    def head(self, branch: BranchName) -> Commit:
        return head(self.client, branch)

    def output(self, branch: BranchName, commit_set: str) -> Commit:
        return inspect(self.client, branch.repo, commit_set)

    def stages(self) -> dict[str, Stage]:
        def one(spec: StageSpec, work: Callable[[StageContext], StageOutput]) -> Stage:
            name = spec.name

            def logged(job: StageContext) -> StageOutput:
                self.worked.append((name, tuple(job.plan.compute) if job.plan else ()))
                self.fail(name)
                return work(job)

            return Stage(
                spec=spec,
                code=lambda: f"{self.code} of {name}",
                versions=lambda: self.versions,
                resolve=resolve,
                work=logged,
                awaited=awaited,
                page=lambda record, local: f"<p>{record.stage}</p>",
                assign=assign if spec.per_file else None,
            )

        return {
            "train": one(TRAIN, whole("weights")),
            "export": one(EXPORT, whole("model")),
            "resize": one(RESIZE, each("small")),
            "generate": one(GENERATE, each("made")),
        }


def resolve(text: str | None, own: Mapping[str, Any], where: str) -> Resolved:
    told = dict(line.split("=") for line in (text or "").split() if "=" in line)
    values = {"size": told.get("size", "64"), **{k: v for section in own.values() for k, v in section.items()}}
    return Resolved(
        values, {k: RecordedParameter(v, "file") for k, v in values.items()}, promote=told.get("promote") != "never"
    )


def awaited(inputs: Mapping[str, Input]) -> str | None:
    missing = [repo for repo, one in inputs.items() if not one.files]
    return f"something in {missing[0]}" if missing else None


def _texts(job: StageContext, repo: str) -> dict[str, str]:
    source = job.inputs[repo]
    return {p: (read(job.client, repo, source.commit.id, p) or b"").decode() for p in source.files}


def whole(word: str) -> Callable[[StageContext], StageOutput]:
    def work(job: StageContext) -> StageOutput:
        (repo,) = job.inputs
        out = job.scratch / "out"
        out.write_text(f"{word}({','.join(sorted(_texts(job, repo).values()))};{job.parameters['size']})")
        return StageOutput({f"/{word}": out}, metrics={"held_out_l1": 0.5})

    return work


def each(word: str) -> Callable[[StageContext], StageOutput]:
    def work(job: StageContext) -> StageOutput:
        assert job.plan is not None
        made, rejected = {}, []
        for number, (path, output) in enumerate(job.plan.compute.items()):
            text = _texts(job, stage_of(job.commit.repo).inputs[0].repo)[path]
            if text == "bad":
                rejected.append(Rejected(path, "TRUNCATED", "it is cut short"))
                continue
            made[output] = job.scratch / str(number)
            made[output].write_text(f"{word}({text})")
        return StageOutput(made, rejected=tuple(rejected))

    return work


@pytest.fixture
def house(tmp_path: Path) -> Iterator[House]:
    address = os.environ.get("PACHD_ADDRESS")
    target = Target(store=tmp_path / "store")
    if address:
        target = Target(pachd=address, store=tmp_path / "store", project=f"stages-{uuid.uuid4().hex[:8]}")
    with connect(target) as client:
        set_up(client)
        yield House(client, target, tmp_path)
        if address:
            project = pfs.Project(name=target.project)
            client.pfs.delete_repos(projects=[project], force=True)
            client.pfs.delete_project(project=project, force=True)
