"""A Pachyderm that is set up, and stages whose work is one line: tests exercise the protocol around the work."""

from __future__ import annotations

import itertools
import uuid
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest
from own_target import own_target, set_up_at

from components.pictures import assign
from pachyderm.client.branches import BranchName
from pachyderm.client.commits import Commit, head, inspect
from pachyderm.client.connection import Connection, Target
from pachyderm.client.files import content, files, read
from pachyderm.client.upload import put
from pachyderm.dag.gate_decision import GateDecision
from pachyderm.dag.repos import EXPORT, GENERATE, RESIZE, TRAIN, StageSpec, stage_of
from pachyderm.output.output_commit import fill_set
from pachyderm.output.stage import Input, Judgement, Resolved, Stage, StageContext, StageOutput
from pachyderm.output.worker import Worker
from pachyderm.record.stage_record import InputCheck, RecordedParameter, Rejected, StageRecord, read_record


@dataclass
class StageHarness:
    """A Pachyderm that is set up, with stages and a log of their work.

    Attributes:
        client: a connection to it.
        target: where it is.
        folder: holds the files that are committed, and the scratch folder.
        worked: (stage, datums that were computed) of each call of a stage's work.
        fail: called with the stage's name by each work; raises if a test wants the work to fail.
        versions: library versions of each stage.
        code: prefix of each stage's code digest.
    """

    client: Connection
    target: Target
    folder: Path
    worked: list[tuple[str, tuple[str, ...]]] = field(default_factory=list)
    fail: Callable[[str], None] = lambda name: None
    versions: dict[str, str] = field(default_factory=lambda: {"pillow": "13"})
    code: str = "code"

    @property
    def location(self) -> list[str]:
        """The options of a subcommand that name this Pachyderm; its project is in the environment."""
        return ["--pachd", self.target.pachd] if self.target.pachd else ["--store", str(self.target.store)]

    def put(self, branch: BranchName, files: Mapping[str, str], mirror: bool = False) -> str:
        """Commit files (path -> text) and return the id of the commit set."""
        folder = self.folder / uuid.uuid4().hex
        folder.mkdir()
        sources = {}
        for number, (path, text) in enumerate(files.items()):
            sources[path] = folder / str(number)
            sources[path].write_text(text)
        committed = put(self.client, branch, sources, mirror_under="/" if mirror else None)
        assert committed.commit is not None
        return committed.commit

    def worker(self, run: str = "run") -> Worker:
        """Return a worker whose clock advances a second per reading, and whose pauses do not wait."""
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
        """Run one stage and return the commit that it filled."""
        return fill_set(self.client, self.stages()[stage], commit_set, own, self.worker(run))[0]

    def run(self, *stages: str, commit_set: str = "") -> None:
        for stage in stages:
            self.fill(stage, commit_set)

    def content(self, commit: Commit) -> dict[str, str]:
        """Return path -> text of a commit's files, without its report."""
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
        def stage(spec: StageSpec, work: Callable[[StageContext], StageOutput]) -> Stage:
            name = spec.name

            def logged(context: StageContext) -> StageOutput:
                self.worked.append((name, tuple(context.plan.compute) if context.plan else ()))
                self.fail(name)
                return work(context)

            return Stage(
                spec=spec,
                code=lambda: f"{self.code} of {name}",
                versions=lambda: self.versions,
                resolve=resolve,
                work=logged,
                awaited=awaited,
                page=lambda record, local: f"<p>{record.stage}</p>",
                assign=assign if spec.per_file else None,
                judge=judge if spec == EXPORT else None,
            )

        return {
            "train": stage(TRAIN, whole("weights")),
            "export": stage(EXPORT, whole("model")),
            "resize": stage(RESIZE, each("small")),
            "generate": stage(GENERATE, each("made")),
        }


def resolve(text: str | None, own: Mapping[str, Any], where: str) -> Resolved:
    parameters = dict(line.split("=") for line in (text or "").split() if "=" in line)
    values = {"size": parameters.get("size", "64"), **{k: v for section in own.values() for k, v in section.items()}}
    return Resolved(
        values,
        {k: RecordedParameter(v, "file") for k, v in values.items()},
        policy=parameters.get("promote", "always"),
    )


def judge(context: StageContext, in_use: Commit, model: Mapping[str, Any]) -> Judgement:
    """Promote a model, or decide what the parameter ``promote`` says; one of a run's own parameters stays."""
    outcomes = {"always": "promoted", "review": "waiting"}
    outcome: Any = "held back" if context.pinned else outcomes.get(context.policy, "held back")
    return Judgement(GateDecision(outcome, "the harness says so", context.policy, in_use=in_use.id))


def awaited(inputs: Mapping[str, Input]) -> str | None:
    missing = [repo for repo, entry in inputs.items() if not entry.files]
    return f"something in {missing[0]}" if missing else None


def _texts(context: StageContext, repo: str) -> dict[str, str]:
    source = context.inputs[repo]
    return {
        path: (read(context.client, repo, source.commit.id, path) or b"").decode(errors="replace")
        for path in source.files
    }


def whole(word: str) -> Callable[[StageContext], StageOutput]:
    def work(context: StageContext) -> StageOutput:
        (repo,) = context.inputs
        out = context.scratch / "out"
        out.write_text(f"{word}({','.join(sorted(_texts(context, repo).values()))};{context.parameters['size']})")
        return StageOutput({f"/{word}": out}, metrics={"held_out_l1": 0.5}, check=InputCheck(1, 1, {"BLANK": 1}))

    return work


def each(word: str) -> Callable[[StageContext], StageOutput]:
    def work(context: StageContext) -> StageOutput:
        assert context.plan is not None
        outputs, rejected = {}, []
        for number, (path, output) in enumerate(context.plan.compute.items()):
            text = _texts(context, stage_of(context.commit.repo).inputs[0].repo)[path]
            if text == "bad":
                rejected.append(Rejected(path, "TRUNCATED", "it is cut short"))
                continue
            outputs[output] = context.scratch / str(number)
            outputs[output].write_text(f"{word}({text})")
        unlike = any("unlike" in path for path in context.plan.compute)
        warnings = (f"{word} from pictures unlike the model's",) if unlike else ()
        return StageOutput(outputs, rejected=tuple(rejected), warnings=warnings)

    return work


@contextmanager
def set_up_harness(folder: Path) -> Iterator[StageHarness]:
    """Provide a harness over a Pachyderm of its own."""
    target = own_target(folder)
    with set_up_at(target) as client:
        yield StageHarness(client, target, folder)


@pytest.fixture
def harness(tmp_path: Path) -> Iterator[StageHarness]:
    with set_up_harness(tmp_path) as harness:
        yield harness
