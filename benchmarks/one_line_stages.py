"""Stages whose work is one line per file, to measure the protocol around the work."""

from __future__ import annotations

import uuid
from collections.abc import Callable, Mapping
from contextlib import ExitStack
from pathlib import Path
from typing import Any

from pachyderm_sdk.api import pfs

from components.pictures import assign
from pachyderm.client.commits import Commit
from pachyderm.client.connection import Target, connect
from pachyderm.dag.gate_decision import GateDecision
from pachyderm.dag.repos import EXPORT, GENERATE, RESIZE, TRAIN, StageSpec
from pachyderm.dag.setup import set_up
from pachyderm.output.output_commit import fill_set
from pachyderm.output.stage import Input, Judgement, Resolved, Stage, StageContext, StageOutput
from pachyderm.output.worker import Worker
from pix2pix.progress import silent


class Bench:
    """A store, and the one-line stages over it."""

    def __init__(self, store: Path) -> None:
        self._store = store
        self._open = ExitStack()

    def __enter__(self) -> Bench:
        self._client = self._open.enter_context(connect(Target(store=self._store)))
        return self

    def __exit__(self, *_: object) -> None:
        self._open.close()

    def set_up(self) -> None:
        """Create the repos."""
        set_up(self._client)

    def put(self, repo: str, files: Mapping[str, str]) -> None:
        """Commit files, path -> text, in one stream."""
        branch = pfs.Branch(repo=self._client.repo(repo), name="master")
        requests = [pfs.ModifyFileRequest(set_commit=pfs.Commit(repo=branch.repo, branch=branch))]
        for path, text in files.items():
            requests.append(pfs.ModifyFileRequest(delete_file=pfs.DeleteFile(path=path)))
            requests.append(pfs.ModifyFileRequest(add_file=pfs.AddFile(path=path, raw=text.encode())))
        self._client.pfs.modify_file(iter(requests))

    def fill(self, name: str) -> None:
        """Fill what is open of a stage."""
        scratch = self._store.parent / "scratch"
        scratch.mkdir(exist_ok=True)
        worker = Worker("benchmark", uuid.uuid4().hex, scratch, silent)
        fill_set(self._client, STAGES[name], "", {}, worker)


def _whole(context: StageContext) -> StageOutput:
    out = context.scratch / "out"
    out.write_text(context.commit.id)
    return StageOutput({"/out": out})


def _each(context: StageContext) -> StageOutput:
    files = {}
    for number, output in enumerate(context.plan.compute.values() if context.plan else ()):
        files[output] = context.scratch / str(number)
        files[output].write_text(f"{context.commit.repo} {output} of {context.commit.id}")
    return StageOutput(files)


def _resolve(text: str | None, own: Mapping[str, Any], name: str) -> Resolved:  # noqa: ARG001
    return Resolved({}, {})


def _judge(context: StageContext, in_use: Commit, model: Mapping[str, Any]) -> Judgement:  # noqa: ARG001
    return Judgement(GateDecision("promoted", "benchmarks promote every model", "always", in_use=in_use.id))


def _awaited(inputs: Mapping[str, Input]) -> str | None:
    return next((f"files in {repo}" for repo, entry in inputs.items() if not entry.files), None)


def _stage(spec: StageSpec, work: Callable[[StageContext], StageOutput]) -> Stage:
    return Stage(
        spec=spec,
        code=lambda: "one line",
        versions=dict,
        resolve=_resolve,
        work=work,
        awaited=_awaited,
        page=lambda record, local: f"<p>{record.stage}</p>",  # noqa: ARG005
        assign=assign if spec.per_file else None,
        judge=_judge if spec == EXPORT else None,
    )


STAGES = {spec.name: _stage(spec, _each if spec.per_file else _whole) for spec in (TRAIN, EXPORT, RESIZE, GENERATE)}
"""Name -> stage."""
